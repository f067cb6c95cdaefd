//! A module that does nothing but a system call of the test's choice, in the sandbox that every module gets.

use super::elf::Elf;

/// A system call that a hostile module makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
    /// Arguments 0 and 1 that are replaced by the address of `bytes`.
    pub(crate) by_address: [bool; 2],
    /// Through the gate of 32-bit programs.
    pub(crate) compatible: bool,
    pub(crate) bytes: &'static [u8],
}

impl Call {
    pub(crate) const fn new(number: i64, arguments: [u64; 6]) -> Self {
        Self { number, arguments, by_address: [false; 2], compatible: false, bytes: &[] }
    }

    pub(crate) const fn bytes(mut self, argument: usize, bytes: &'static [u8]) -> Self {
        self.by_address[argument] = true;
        self.bytes = bytes;
        self
    }

    pub(crate) const fn compatible(mut self) -> Self {
        self.compatible = true;
        self
    }

    /// Input of the hostile module: number, arguments, flags, bytes.
    pub(crate) fn input(&self) -> Vec<u8> {
        let flags = [self.by_address[0], self.by_address[1], self.compatible];
        let flags = flags.iter().rev().fold(0_u64, |flags, flag| flags << 1 | u64::from(*flag));
        let mut input = self.number.to_le_bytes().to_vec();
        input.extend(self.arguments.iter().chain([&flags]).flat_map(|word| word.to_le_bytes()));
        input.extend_from_slice(self.bytes);
        input
    }
}

// Entered as an image is: operation, input and its length, output and its length. At operation 0, the boot, it only says
// that it lives; at any other it makes the call and leaves its result in the output.
core::arch::global_asm!(
    ".globl veritee_hostile_start, veritee_hostile_end",
    "veritee_hostile_start:",
    "mov eax, 8",
    "test edi, edi",
    "jz 9f",
    "push rbx",
    "push rbp",
    "push rcx",
    "mov rbp, rsi",
    "mov rax, [rbp]",
    "mov rdi, [rbp + 8]",
    "mov rsi, [rbp + 16]",
    "mov rdx, [rbp + 24]",
    "mov r10, [rbp + 32]",
    "mov r8, [rbp + 40]",
    "mov r9, [rbp + 48]",
    "lea rcx, [rbp + 64]",
    "test byte ptr [rbp + 56], 1",
    "cmovnz rdi, rcx",
    "test byte ptr [rbp + 56], 2",
    "cmovnz rsi, rcx",
    "test byte ptr [rbp + 56], 4",
    "jnz 7f",
    "syscall",
    "jmp 8f",
    "7:",
    "mov rbx, rdi",
    "mov rcx, rsi",
    "int 0x80",
    "8:",
    "pop rcx",
    "mov [rcx], rax",
    "mov eax, 8",
    "pop rbp",
    "pop rbx",
    "9:",
    "ret",
    "veritee_hostile_end:",
);

unsafe extern "C" {
    static veritee_hostile_start: u8;
    static veritee_hostile_end: u8;
}

/// The hostile module's image.
pub(crate) fn image() -> Vec<u8> {
    let (start, end) = (&raw const veritee_hostile_start, &raw const veritee_hostile_end);
    // SAFETY: both labels stand around the code above, which is part of this program's text.
    let code = unsafe { core::slice::from_raw_parts(start, end.byte_offset_from_unsigned(start)) };
    Elf::with_code(code).bytes()
}
