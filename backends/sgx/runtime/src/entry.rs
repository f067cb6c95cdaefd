//! The way in and out, in assembly, and what the final crate of an image needs.

/// Defines everything that the final crate of an image needs: port table, module, entry, panic handler.
///
/// The entry, `veritee_sgx_entry`, is where EENTER goes: RAX is CSSA, RBX the TCS, RCX where EEXIT goes; everything else is the
/// host's. Its steps:
///
/// 1. An entry while another one is suspended (CSSA above 0) leaves at once: there is nothing to handle an exception.
/// 2. The layout page lies in front of the TCS; from it follow base and stack. The host's stack is kept to be given back.
/// 3. Flags (direction, alignment check), MXCSR and the x87 state become what compiled code expects.
/// 4. The image relocates itself, once, under a lock.
/// 5. Everything that held data is cleared; the one EEXIT of the image leaves. Its place is eight aligned bytes, so that a
///    loader that emulates the instruction can put a jump there; the processor never sees that.
#[macro_export]
macro_rules! image {
    (program = $program:ty, key = $key:ty, rows = $rows:expr, tokens = $tokens:expr, owner = $owner:expr $(, heap = $heap:expr)? $(,)?) => {
        const STATE: usize = <$program as $crate::veritee_module::Program>::STATE_BYTES;
        const PORTS: &[$crate::veritee_wire::ports::PortInfo] = <$program as $crate::veritee_module::Program>::PORTS;
        const TABLE_BYTES: usize = $crate::veritee_wire::ports::table_bytes(PORTS.len());

        #[used]
        #[unsafe(link_section = ".veritee.ports")]
        static TABLE: [u8; TABLE_BYTES] =
            $crate::veritee_wire::ports::encode_table(PORTS, $rows as u16, $tokens as u16, STATE as u32);

        static MODULE: $crate::Cell<
            $crate::veritee_module::Module<$crate::Sgx<$key>, $program, { $rows }, { $tokens }, STATE>,
        > = $crate::Cell::new();

        /// 0 as loaded, 1 being relocated, 2 relocated. Measured.
        static RELOCATED: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

        /// Called by the entry code, on the enclave's stack.
        unsafe extern "C" fn enter(block: u64, base: u64, layout: *const u64) {
            // SAFETY: the entry code hands over base and layout page of this enclave.
            unsafe { $crate::enter(&MODULE, $owner, block, base, layout) }
        }

        /// The enclave's entry.
        ///
        /// # Safety
        /// Only the processor comes here, by EENTER.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn veritee_sgx_entry() {
            core::arch::naked_asm!(
                "test rax, rax",
                "jnz 8f",
                "lea r8, [rbx - 4096]",
                "mov r9, rbx",
                "sub r9, [r8 + 16]",
                "mov r10, rsp",
                "mov rsp, r9",
                "add rsp, [r8 + 24]",
                "push r10",
                "push rbp",
                "push rcx",
                "push 2",
                "popfq",
                "push 0x1f80",
                "ldmxcsr [rsp]",
                "fninit",
                "2:",
                "mov eax, [rip + {relocated}]",
                "cmp eax, 2",
                "je 5f",
                "xor eax, eax",
                "mov ecx, 1",
                "lock cmpxchg [rip + {relocated}], ecx",
                "je 3f",
                "pause",
                "jmp 2b",
                "3:",
                "mov r10, [r8 + 32]",
                "add r10, r9",
                "mov r11, [r8 + 40]",
                "4:",
                "sub r11, 1",
                "jb 6f",
                "mov rax, [r10]",
                "mov rcx, [r10 + 16]",
                "add rcx, r9",
                "mov [r9 + rax], rcx",
                "add r10, 24",
                "jmp 4b",
                "6:",
                "mov dword ptr [rip + {relocated}], 2",
                "5:",
                "lfence",
                "mov rsi, r9",
                "mov rdx, r8",
                "call {enter}",
                "ldmxcsr [rsp]",
                "add rsp, 8",
                "pop rbx",
                "pop rbp",
                "pop rsp",
                "vzeroall",
                "jmp 9f",
                "8:",
                "mov rbx, rcx",
                "9:",
                "xor ecx, ecx",
                "xor edx, edx",
                "xor esi, esi",
                "xor edi, edi",
                "xor r8d, r8d",
                "xor r9d, r9d",
                "xor r10d, r10d",
                "xor r11d, r11d",
                "mov eax, 4",
                ".balign 8",
                "enclu",
                ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00",
                "ud2",
                relocated = sym RELOCATED,
                enter = sym enter,
            )
        }

        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            $($heap.end_if_exhausted();)? $crate::die()
        }
    };
}
