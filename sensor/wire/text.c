#include "sensor/wire/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

struct text text_over(char *bytes, size_t capacity)
{
    assert(capacity > 0);
    bytes[0] = '\0';
    return (struct text){.bytes = bytes, .capacity = capacity};
}

static void add_bytes(struct text *text, const char *bytes, size_t length)
{
    const size_t room = text->capacity - 1 - text->length;

    if (length > room) {
        length = room;
        text->is_cut = true;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
    add_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length > 0) {
        add_bytes(text, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
        text->is_cut |= (size_t)length >= sizeof(line);
    }
}

static const char hex_digits[] = "0123456789abcdef";

/* Whether none of eight bytes needs an escape: no top bit, nothing below 0x20, no 0x7f, no '\\'. */
static bool is_plain(uint64_t eight)
{
    const uint64_t backslashes = eight ^ ASCII_EACH('\\');

    return ((eight | (eight - ASCII_EACH(0x20)) | (eight + ASCII_EACH(0x01)) |
             (backslashes - ASCII_EACH(0x01))) &
            ASCII_EACH(0x80)) == 0;
}

size_t text_plain_bytes(const uint8_t *bytes, size_t length)
{
    size_t count = 0;

    while (count + sizeof(uint64_t) <= length && is_plain(load_le64(bytes + count))) {
        count += sizeof(uint64_t);
    }
    if (length >= sizeof(uint64_t) && count + sizeof(uint64_t) > length &&
        is_plain(load_le64(bytes + length - sizeof(uint64_t)))) {
        return length; /* the last eight at once, some of them once more */
    }
    while (count < length && bytes[count] >= 0x20 && bytes[count] < 0x7f && bytes[count] != '\\') {
        count++;
    }
    return count;
}

void text_escaped(struct text *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length && !text->is_cut; i++) {
        const size_t plain = text_plain_bytes(bytes + i, length - i);

        if (plain > 0) {
            add_bytes(text, (const char *)bytes + i, plain);
            i += plain;
        }
        if (i == length || text->is_cut) {
            return;
        }
        const uint8_t byte = bytes[i];
        if (byte == '\\') {
            add_bytes(text, "\\\\", 2);
        } else {
            add_bytes(text,
                      (const char[4]){'\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 15]}, 4);
        }
    }
}

void text_hex(struct text *text, const uint8_t *bytes, size_t length)
{
    const size_t room = text->capacity - 1 - text->length;
    char *at = text->bytes + text->length;

    size_t i = 0;

    for (; i + 4 <= length && i + 4 <= room / 2; i += 4) {
        store_le64(at, ascii_hex_8(load_le32(bytes + i)));
        at += 8;
    }
    for (; i < length && i < room / 2; i++) {
        *at++ = hex_digits[bytes[i] >> 4];
        *at++ = hex_digits[bytes[i] & 15];
    }
    if (length > room / 2) {
        if (room % 2 != 0) {
            *at++ = hex_digits[bytes[room / 2] >> 4];
        }
        text->is_cut = true;
    }
    *at = '\0';
    text->length = (size_t)(at - text->bytes);
}
