/* The FileDescriptorSet as protoc wrote it, in the read-only data of the program. */
    .section .rodata
    .balign 16
    .global json_descriptor_set_begin
    .type json_descriptor_set_begin, %object
json_descriptor_set_begin:
    .incbin DESCRIPTOR_SET_FILE
    .global json_descriptor_set_end
    .type json_descriptor_set_end, %object
json_descriptor_set_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
