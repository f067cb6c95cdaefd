/* The core of modules in C as a program of this machine. What a board's processor does for it (seal, open, draw) is asked
   of whoever started the program, over the standard streams; little-endian, lengths of 16 bits.

     to the program:   op, bytes of input, room for the output, the input
     from it:          'r', bytes, the output
                       'w' or 'u' (seal, open), 1 if the key is the module's own, else 0 and the key's 16 bytes, bytes of the
                       associated data, of the body, both, and to open the tag; the answer is 1 or 0, the body, to seal the tag
                       'f'; the answer is the kind of source and 16 bytes */
#include "core/platform.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const void *bytes, size_t count) {
    if (fwrite(bytes, 1, count, stdout) != count)
        exit(1);
}

static void say_number(uint16_t number) {
    say(&number, sizeof number);
}

static void hear(void *bytes, size_t count) {
    fflush(stdout);
    if (fread(bytes, 1, count, stdin) != count)
        exit(0);
}

static void ask(char what, const void *key, const void *ad, uint16_t ad_bytes, const void *body, uint16_t bytes) {
    char own = !key;
    say(&what, 1);
    say(&own, 1);
    if (key)
        say(key, 16);
    say_number(ad_bytes);
    say_number(bytes);
    say(ad, ad_bytes);
    if (bytes)
        say(body, bytes);
}

uint16_t vt_hw_wrap(const void *key, const void *ad, uint16_t ad_bytes, const void *body, uint16_t body_bytes, void *cipher,
                    void *tag) {
    uint8_t done;
    ask('w', key, ad, ad_bytes, body, body_bytes);
    hear(&done, 1);
    if (body_bytes)
        hear(cipher, body_bytes);
    hear(tag, 16);
    return done;
}

uint16_t vt_hw_unwrap(const void *key, const void *ad, uint16_t ad_bytes, const void *cipher, uint16_t cipher_bytes,
                      void *plain, const void *tag) {
    uint8_t done;
    ask('u', key, ad, ad_bytes, cipher, cipher_bytes);
    say(tag, 16);
    hear(&done, 1);
    if (cipher_bytes)
        hear(plain, cipher_bytes);
    return done;
}

uint16_t vt_fresh(uint16_t value[8]) {
    uint16_t kind;
    say("f", 1);
    hear(&kind, sizeof kind);
    hear(value, 16);
    return kind;
}

int main(void) {
    for (;;) {
        uint16_t front[3];
        hear(front, sizeof front);
        /* Exactly as long as they say, so that a sanitizer sees every step beyond. */
        uint8_t *input = malloc(front[1] ? front[1] : 1), *output = malloc(front[2] ? front[2] : 1);
        hear(input, front[1]);
        uint16_t bytes = vt_enter(front[0], input, front[1], output, front[2]);
        say("r", 1);
        say_number(bytes);
        say(output, bytes);
        fflush(stdout);
        free(input);
        free(output);
    }
}
