//! The normal half of the self-test: what an attacker at EL1 of the normal world can reach, and what he finds in registers.
//!
//! Each check is a line on the normal UART, `ok` or `FAILED`; the last line counts the failures. Then it switches off.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod attacker {
    use core::arch::{asm, global_asm};
    use monitor::calls::NOT_SUPPORTED;
    use monitor::memory::{
        FLASH, GIC_REDISTRIBUTOR, NORMAL_RAM, NORMAL_UART, PAYLOAD, SECURE_GPIO, SECURE_RAM, SECURE_RAM_BYTES,
        SECURE_UART,
    };

    global_asm!(
        r#"
        .section .text.start, "ax"
        .global start
    start:
        ldr     x0, =stack_end
        mov     sp, x0
        adr     x0, vectors
        msr     vbar_el1, x0
        isb
        bl      attack
        b       .
        .ltorg

        // Any exception: its syndrome is kept, the instruction is left out.
        .balign 2048
    vectors:
        .rept   16
        .balign 128
        stp     x0, x1, [sp, #-16]!
        ldr     x1, =SYNDROME
        mrs     x0, esr_el1
        str     x0, [x1]
        mrs     x0, elr_el1
        add     x0, x0, #4
        msr     elr_el1, x0
        ldp     x0, x1, [sp], #16
        eret
        .ltorg
        .endr
        "#
    );

    /// Syndrome of the last exception; zero for none.
    #[unsafe(no_mangle)]
    static mut SYNDROME: u64 = 0;

    fn syndrome() -> u64 {
        // SAFETY: one core; the exception entry writes it, which is why it is read as something that changes by itself.
        unsafe { (&raw const SYNDROME).read_volatile() }
    }

    fn forget() {
        // SAFETY: as above.
        unsafe { (&raw mut SYNDROME).write_volatile(0) };
    }

    fn load(address: u64) -> (u64, u32) {
        forget();
        let mut value: u32 = 0x1234_5678;
        // SAFETY: the point is that it may abort, which the exception entry survives.
        unsafe { asm!("ldr {0:w}, [{1}]", inout(reg) value, in(reg) address, options(nostack)) };
        (syndrome(), value)
    }

    fn store(address: u64) -> u64 {
        forget();
        // SAFETY: as above; addresses that do not abort are ours.
        unsafe { asm!("str wzr, [{0}]", in(reg) address, options(nostack)) };
        syndrome()
    }

    fn call(function: u64, argument: u64) -> [u64; 4] {
        let (mut x0, mut x1, x2, x3): (u64, u64, u64, u64) = (function, argument, 0, 0);
        let (x2, x3) = {
            let (mut a, mut b) = (x2, x3);
            // SAFETY: the monitor changes x0 to x3 only; everything that a caller may lose is declared lost.
            unsafe { asm!("smc #0", inout("x0") x0, inout("x1") x1, inout("x2") a, inout("x3") b, clobber_abi("C")) };
            (a, b)
        };
        [x0, x1, x2, x3]
    }

    fn say(text: &str) {
        for byte in text.bytes() {
            // SAFETY: the normal world's UART, which QEMU needs no set-up for.
            unsafe { (NORMAL_UART as *mut u32).write_volatile(u32::from(byte)) };
        }
    }

    fn say_number(mut value: u64, base: u64) {
        let mut digits = [0_u8; 20];
        let mut count = 0;
        while count == 0 || value > 0 {
            digits[count] = b"0123456789abcdef"[(value % base) as usize];
            value /= base;
            count += 1;
        }
        for digit in digits[..count].iter().rev() {
            say(core::str::from_utf8(&[*digit]).unwrap_or("?"));
        }
    }

    struct Checks(u64);

    impl Checks {
        fn check(&mut self, what: &str, value: u64, good: bool) {
            say(if good { "ok      " } else { "FAILED  " });
            say(what);
            say(" 0x");
            say_number(value, 16);
            say("\n");
            self.0 += u64::from(!good);
        }

        /// A synchronous external abort of this level (EC 0x25, DFSC 0x10), and nothing was read.
        fn aborts(&mut self, what: &str, address: u64) {
            let (read, value) = load(address);
            self.check(what, read, read >> 26 == 0x25 && read & 0x3f == 0x10 && value == 0x1234_5678);
            let written = store(address);
            self.check("  written", written, written >> 26 == 0x25 && written & 0x3f == 0x10);
        }
    }

    #[unsafe(no_mangle)]
    extern "C" fn attack() {
        let mut checks = Checks(0);
        memory(&mut checks);
        registers(&mut checks);
        calls(&mut checks);
        interrupts(&mut checks);
        time("calls of the monitor", 0x8400_0000, 20_000);
        time("calls of the secure world", 0xb200_0000, 5_000);
        say("self-test: ");
        say_number(checks.0, 10);
        say(" failures\n");
        call(0x8400_0008, 0);
    }

    fn memory(checks: &mut Checks) {
        checks.aborts("the monitor's data", SECURE_RAM);
        checks.aborts("the secure payload", PAYLOAD);
        checks.aborts("the end of secure RAM", SECURE_RAM + SECURE_RAM_BYTES - 4);
        checks.aborts("secure flash", FLASH);
        checks.aborts("the payload in flash", FLASH + 0x10_0000);
        checks.aborts("the secure UART", SECURE_UART);
        checks.aborts("the secure GPIO", SECURE_GPIO);
        let (read, _) = load(NORMAL_RAM + 0x100_0000);
        checks.check("normal RAM is there", read, read == 0);
    }

    fn registers(checks: &mut Checks) {
        forget();
        // SAFETY: an undefined instruction at EL1, which the exception entry leaves out.
        unsafe { asm!("mrs {0}, scr_el3", out(reg) _, options(nostack)) };
        let undefined = syndrome();
        checks.check("SCR_EL3 is undefined here", undefined, undefined >> 26 == 0);
        let kept: u64;
        let (answer, callee, platform): (u64, u64, u64);
        // SAFETY: registers that Rust reserves are put back before the block ends.
        unsafe {
            asm!(
                "mov x9, x19", "mov x10, x29", "mov x11, x30",
                "mov x19, #0x77", "mov x28, #0x78",
                "smc #0",
                "sub x12, x19, #0x77", "sub x13, x28, #0x78", "orr x12, x12, x13",
                "mov x13, x8", "orr x14, x4, x7",
                "mov x19, x9", "mov x29, x10", "mov x30, x11",
                inout("x0") 0xb200_0000_u64 => answer, inout("x1") 41_u64 => _, inout("x2") 0_u64 => _, inout("x3") 0_u64 => _,
                inout("x4") 4_u64 => _, inout("x7") 4_u64 => _, inout("x8") 8_u64 => _,
                out("x9") _, out("x10") _, out("x11") _, out("x12") kept, out("x13") platform, out("x14") callee, out("x28") _,
            );
        }
        checks.check("the secure world answers", answer, answer == 42);
        checks.check("callee-saved registers stay", kept, kept == 0);
        checks.check("nothing secure is left in x8", platform, platform == 8);
        checks.check("nothing secure is left in x4 and x7", callee, callee == 4);
        let (thread, vectors, context): (u64, u64, u64);
        // SAFETY: reads only.
        unsafe {
            asm!("mrs {0}, tpidr_el1", "mrs {1}, vbar_el1", "mrs {2}, contextidr_el1", out(reg) thread, out(reg) vectors, out(reg) context);
        }
        checks.check("TPIDR_EL1 is this world's", thread, thread == 0);
        checks.check("VBAR_EL1 is this world's", vectors, vectors >> 24 == NORMAL_RAM >> 24 | 4);
        checks.check("CONTEXTIDR_EL1 is this world's", context, context == 0);
    }

    fn calls(checks: &mut Checks) {
        let version = call(0x8400_0000, 0)[0];
        checks.check("PSCI 1.0", version, version == 0x1_0000);
        for function in [0x8200_0000, 0x8300_ff00, 0xb000_0000, 0xc400_0001] {
            let answer = call(function, 0)[0];
            checks.check("nobody answers this", answer, answer == NOT_SUPPORTED);
        }
        let forged = call(0xbe00_0000, 7)[0];
        checks.check("to say that one has started is a call like any other", forged, forged == 8);
    }

    fn interrupts(checks: &mut Checks) {
        // The payload's interrupt 29, seen from here: group and enable read as zero, writes are ignored.
        let sgi = GIC_REDISTRIBUTOR + 0x1_0000;
        let (_, enabled) = load(sgi + 0x100);
        checks.check("the secure interrupt is hidden", enabled.into(), enabled & (1 << 29) == 0);
        // SAFETY: a register of the interrupt controller; disabling what is ours already.
        unsafe { ((sgi + 0x180) as *mut u32).write_volatile(u32::MAX) };
        let before = call(0xb200_0000, 0)[0];
        call(0x3200_0000, 10_000);
        let mut loops: u64 = 0;
        let mut count = before;
        while count == before && loops < 1_000 {
            for _ in 0..10_000 {
                // SAFETY: nothing is touched.
                unsafe { asm!("nop") };
            }
            count = call(0xb200_0000, 0)[0];
            loops += 1;
        }
        checks.check("its timer interrupts this world", count, count == before + 1);
    }

    fn time(what: &str, function: u64, calls: u64) {
        let now = || {
            let ticks: u64;
            // SAFETY: reads the counter.
            unsafe { asm!("isb", "mrs {0}, cntpct_el0", out(reg) ticks) };
            ticks
        };
        let frequency: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {0}, cntfrq_el0", out(reg) frequency) };
        let start = now();
        for _ in 0..calls {
            call(function, 1);
        }
        say_number(calls, 10);
        say(" ");
        say(what);
        say(": ");
        say_number((now() - start) * 1_000_000_000 / frequency / calls, 10);
        say(" ns each\n");
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        say("FAILED: a fault of the self-test itself\n");
        loop {}
    }
}
