// The smallest program there is: static, no libc, nothing to relocate.
// Without arguments it ends with 0 at once; with any it sleeps until killed.
    .globl _start
    .text
_start:
#if defined(__x86_64__)
    cmpq $1, (%rsp)
    jg 1f
    movl $60, %eax  /* exit */
    xorl %edi, %edi
    syscall
1:  movl $34, %eax  /* pause */
    syscall
    jmp 1b
#elif defined(__aarch64__)
    ldr x0, [sp]
    cmp x0, #1
    b.gt 1f
    mov x0, #0
    mov x8, #93  /* exit */
    svc #0
1:  mov x0, #0
    mov x1, #0
    mov x2, #0
    mov x3, #0
    mov x8, #73  /* ppoll of nothing, for ever */
    svc #0
    b 1b
#else
#error "tiny_program.S: what does a program of this machine end with?"
#endif
    .section .note.GNU-stack, "", %progbits
