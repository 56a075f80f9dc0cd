#include "sensor/capture/byte_decoder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/attributes.h"

#define INPUT_BYTES ((size_t)256 * 1024)
/* Window of a Zstandard frame: 128 MiB is what the tool reads without being asked for more. */
#define ZSTD_WINDOW_LOG_MAX 27

struct byte_decoder {
    byte_decoder_read_function read;
    void *context;
    bool is_zstd;
    bool is_between; /* at the end of a member or frame: the data may end here */
    bool is_end;     /* of the file */
    int code;        /* -errno, once met */
    const char *fault;
    size_t at, end; /* what is left in `input` */
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t input[INPUT_BYTES];
};

static bool begins_with(const uint8_t *first, size_t count, const char *magic, size_t length)
{
    return count >= length && memcmp(first, magic, length) == 0;
}

/* Compression that people use for captures and that is not read here. */
static const char *foreign_name(const uint8_t *first, size_t count)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *name;
    } foreign[] = {{"\x04\x22\x4d\x18", 4, "lz4"},
                   {"\xfd\x37\x7a\x58\x5a\x00", 6, "xz"},
                   {"BZh", 3, "bzip2"},
                   {"PK\x03\x04", 4, "zip"}};
    for (size_t i = 0; i < ARRAY_COUNT(foreign); i++) {
        if (begins_with(first, count, foreign[i].magic, foreign[i].length)) {
            return foreign[i].name;
        }
    }
    return NULL;
}

int byte_decoder_new(const uint8_t *first, size_t count, byte_decoder_read_function read,
                     void *context, struct byte_decoder **out, struct error *err)
{
    const bool is_gzip = begins_with(first, count, "\x1f\x8b\x08", 3);
    const bool is_zstd = begins_with(first, count, "\x28\xb5\x2f\xfd", 4);
    const char *foreign = foreign_name(first, count);
    *out = NULL;

    if (foreign != NULL) {
        return error_set(err, EBADMSG,
                         "compressed with %s, which is not read here (gzip and zstd are): unpack "
                         "it first",
                         foreign);
    }
    if (!is_gzip && !is_zstd) {
        return 0;
    }
    struct byte_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    memset(decoder, 0, offsetof(struct byte_decoder, input));
    decoder->read = read;
    decoder->context = context;
    decoder->is_zstd = is_zstd;
    memcpy(decoder->input, first, count);
    decoder->end = count;
    if (is_zstd) {
        decoder->zstd = ZSTD_createDStream();
    }
    if (is_zstd ? decoder->zstd == NULL ||
                      ZSTD_isError(ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax,
                                                          ZSTD_WINDOW_LOG_MAX))
                : inflateInit2(&decoder->gzip, 15 + 16) != Z_OK) { /* 16: a gzip header */
        byte_decoder_free(decoder);
        return error_set(err, ENOMEM, "out of memory");
    }
    *out = decoder;
    return 0;
}

void byte_decoder_free(struct byte_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    if (decoder->is_zstd) {
        (void)ZSTD_freeDStream(decoder->zstd);
    } else {
        (void)inflateEnd(&decoder->gzip);
    }
    free(decoder);
}

static ssize_t fail(struct byte_decoder *decoder, int code, const char *fault)
{
    decoder->code = code;
    decoder->fault = fault;
    return code;
}

/* Behind a gzip member: another one, or padding of zeros (tar and tapes), or the end. */
static void begin_member(struct byte_decoder *decoder)
{
    while (decoder->at < decoder->end && decoder->input[decoder->at] == 0) {
        decoder->at++;
    }
    if (decoder->at < decoder->end) {
        (void)inflateReset(&decoder->gzip);
        decoder->is_between = false;
    }
}

/* Bytes made, or -EBADMSG. */
static ssize_t inflate_some(struct byte_decoder *decoder, void *out, size_t bytes_max)
{
    z_stream *gzip = &decoder->gzip;

    if (decoder->is_between) {
        begin_member(decoder);
        if (decoder->is_between) {
            return 0;
        }
    }
    gzip->next_in = decoder->input + decoder->at;
    gzip->avail_in = (uInt)(decoder->end - decoder->at);
    gzip->next_out = out;
    gzip->avail_out = (uInt)(bytes_max < INT32_MAX ? bytes_max : INT32_MAX);
    const uInt room = gzip->avail_out;
    const int status = inflate(gzip, Z_NO_FLUSH);

    decoder->at = decoder->end - gzip->avail_in;
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
        return fail(decoder, -EBADMSG, "the gzip data is damaged");
    }
    decoder->is_between = status == Z_STREAM_END;
    return (ssize_t)(room - gzip->avail_out);
}

static ssize_t unzstd_some(struct byte_decoder *decoder, void *out, size_t bytes_max)
{
    if (decoder->is_between && decoder->at == decoder->end) {
        return 0; /* asked now, it would wait for a further frame */
    }
    ZSTD_inBuffer in = {decoder->input, decoder->end, decoder->at};
    ZSTD_outBuffer made = {out, bytes_max, 0};
    const size_t status = ZSTD_decompressStream(decoder->zstd, &made, &in);

    if (ZSTD_isError(status)) {
        return fail(decoder, -EBADMSG,
                    "the Zstandard data is damaged, or needs too large a window");
    }
    decoder->is_between = status == 0;
    decoder->at = in.pos;
    return (ssize_t)made.pos;
}

ssize_t byte_decoder_read(struct byte_decoder *decoder, void *out, size_t bytes_max)
{
    while (decoder->code == 0) {
        /* First without new input: more may be held than the last call had room for. */
        const ssize_t made = decoder->is_zstd ? unzstd_some(decoder, out, bytes_max)
                                              : inflate_some(decoder, out, bytes_max);
        if (made != 0) {
            return made;
        }
        if (decoder->at < decoder->end) {
            continue;
        }
        const ssize_t got = decoder->read(decoder->context, decoder->input, INPUT_BYTES);
        if (got < 0) {
            return fail(decoder, (int)got, NULL);
        }
        if (got == 0) {
            return decoder->is_between ? 0
                                       : fail(decoder, -EBADMSG, "the compressed data is cut off");
        }
        decoder->at = 0;
        decoder->end = (size_t)got;
    }
    return decoder->code;
}

const char *byte_decoder_fault(const struct byte_decoder *decoder)
{
    return decoder->fault;
}
