#include "json_check.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define DEPTH_MAX 40

struct reader {
    const char *at, *end;
};

static bool read_value(struct reader *in, int depth);

static bool take(struct reader *in, char wanted)
{
    const bool is_there = in->at < in->end && *in->at == wanted;

    in->at += is_there ? 1 : 0;
    return is_there;
}

static bool read_word(struct reader *in, const char *word)
{
    const size_t length = strlen(word);
    const bool is_there = (size_t)(in->end - in->at) >= length && memcmp(in->at, word, length) == 0;

    in->at += is_there ? length : 0;
    return is_there;
}

static bool read_escape(struct reader *in)
{
    if (in->at == in->end || strchr("\"\\/bfnrtu", *in->at) == NULL || *in->at == '\0') {
        return false;
    }
    if (*in->at++ != 'u') {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (in->at == in->end || strchr("0123456789abcdefABCDEF", *in->at) == NULL ||
            *in->at == '\0') {
            return false;
        }
        in->at++;
    }
    return true;
}

static bool read_string(struct reader *in)
{
    if (!take(in, '"')) {
        return false;
    }
    while (in->at < in->end && *in->at != '"') {
        uint32_t code;
        const unsigned length =
            utf8_read((const uint8_t *)in->at, (size_t)(in->end - in->at), &code);

        if (length == 0 || utf8_is_control(code)) {
            return false;
        }
        in->at += length;
        if (code == '\\' && !read_escape(in)) {
            return false;
        }
    }
    return take(in, '"');
}

static bool read_number(struct reader *in)
{
    const char *begin = in->at;

    while (in->at < in->end && *in->at != '\0' && strchr("+-.0123456789eE", *in->at) != NULL) {
        in->at++;
    }
    return in->at > begin;
}

static bool read_members(struct reader *in, char end, int depth)
{
    if (take(in, end)) {
        return true;
    }
    do {
        if (end == '}' && !(read_string(in) && take(in, ':'))) {
            return false;
        }
        if (!read_value(in, depth)) {
            return false;
        }
    } while (take(in, ','));
    return take(in, end);
}

static bool read_value(struct reader *in, int depth)
{
    if (in->at == in->end || depth == 0) {
        return false;
    }
    switch (*in->at) {
    case '{':
        in->at++;
        return read_members(in, '}', depth - 1);
    case '[':
        in->at++;
        return read_members(in, ']', depth - 1);
    case '"':
        return read_string(in);
    case 't':
        return read_word(in, "true");
    case 'f':
        return read_word(in, "false");
    case 'n':
        return read_word(in, "null");
    default:
        return read_number(in);
    }
}

bool json_is_whole(const char *text, size_t length)
{
    struct reader in = {text, text + length};

    return read_value(&in, DEPTH_MAX) && in.at == in.end;
}
