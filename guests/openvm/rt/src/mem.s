# memcpy and memset for word-aligned pieces of whole words, which is nearly all that a guest of this
# runtime moves, and first of all for digests and blocks of 32 and 64 bytes. Anything else goes byte
# by byte.
# memmove and memcmp are the compiler's.

    .section .text.memcpy, "ax"
    .globl memcpy
    .type memcpy, @function
memcpy:
    mv t0, a0
    or t1, a0, a1
    or t1, t1, a2
    add t2, a1, a2
    andi t1, t1, 3
    beq a1, t2, 3f
    bnez t1, 2f
    andi t1, a2, 31
    bnez t1, 1f
0:
    lw a3, 0(a1)
    lw a4, 4(a1)
    lw a5, 8(a1)
    lw a6, 12(a1)
    lw a7, 16(a1)
    lw t3, 20(a1)
    lw t4, 24(a1)
    lw t5, 28(a1)
    sw a3, 0(t0)
    sw a4, 4(t0)
    sw a5, 8(t0)
    sw a6, 12(t0)
    sw a7, 16(t0)
    sw t3, 20(t0)
    sw t4, 24(t0)
    sw t5, 28(t0)
    addi a1, a1, 32
    addi t0, t0, 32
    bne a1, t2, 0b
    ret
1:
    lw t1, 0(a1)
    addi a1, a1, 4
    sw t1, 0(t0)
    addi t0, t0, 4
    bne a1, t2, 1b
    ret
2:
    lbu t1, 0(a1)
    addi a1, a1, 1
    sb t1, 0(t0)
    addi t0, t0, 1
    bne a1, t2, 2b
3:
    ret
    .size memcpy, . - memcpy

    .section .text.memset, "ax"
    .globl memset
    .type memset, @function
memset:
    mv t0, a0
    add t2, a0, a2
    beq t0, t2, 3f
    or t1, a0, a2
    andi t1, t1, 3
    andi a1, a1, 0xff
    bnez t1, 2f
    slli t1, a1, 8
    or a1, a1, t1
    slli t1, a1, 16
    or a1, a1, t1
    andi t1, a2, 31
    bnez t1, 1f
0:
    sw a1, 0(t0)
    sw a1, 4(t0)
    sw a1, 8(t0)
    sw a1, 12(t0)
    sw a1, 16(t0)
    sw a1, 20(t0)
    sw a1, 24(t0)
    sw a1, 28(t0)
    addi t0, t0, 32
    bne t0, t2, 0b
    ret
1:
    sw a1, 0(t0)
    addi t0, t0, 4
    bne t0, t2, 1b
    ret
2:
    sb a1, 0(t0)
    addi t0, t0, 1
    bne t0, t2, 2b
3:
    ret
    .size memset, . - memset
