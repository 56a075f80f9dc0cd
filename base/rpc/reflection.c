/* Server reflection, grpc.reflection.v1 and v1alpha: the same messages under two names, since older
 * tools know only the second one. What is not found is answered inside the stream, which stays
 * open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/descriptors.h"
#include "base/rpc/internal.h"
#include "base/wire_format.h"

/* ServerReflectionRequest */
enum {
    REQUEST_HOST = 1,
    REQUEST_FILE_BY_NAME = 3,
    REQUEST_FILE_BY_SYMBOL = 4,
    REQUEST_FILE_BY_EXTENSION = 5,
    REQUEST_EXTENSION_NUMBERS = 6,
    REQUEST_SERVICES = 7,
};
/* ServerReflectionResponse and its parts */
enum {
    RESPONSE_HOST = 1,
    RESPONSE_REQUEST = 2,
    RESPONSE_FILES = 4,
    RESPONSE_EXTENSION_NUMBERS = 5,
    RESPONSE_SERVICES = 6,
    RESPONSE_ERROR = 7,
};
enum {
    FILES_DESCRIPTOR = 1,
    NUMBERS_TYPE = 1,
    NUMBERS_NUMBER = 2,
    SERVICES_SERVICE = 1,
    SERVICE_NAME = 1
};
enum { ERROR_CODE = 1, ERROR_MESSAGE = 2, EXTENSION_TYPE = 1, EXTENSION_NUMBER = 2 };

#define REQUEST_BYTES_MAX ((size_t)4096)
#define REPLY_SLACK_BYTES 1024
#define SERVICES_BYTES    65536

enum { REFLECTION_V1, REFLECTION_V1ALPHA, REFLECTION_METHODS };

struct rpc_reflection {
    struct descriptor_set *set;
    size_t set_bytes;
    struct rpc_server *server;
    struct rpc_method methods[REFLECTION_METHODS];
};

struct request {
    const uint8_t *host, *text;
    size_t host_bytes, text_bytes;
    uint32_t kind; /* the field of the oneof; 0: none */
    uint32_t extension_number;
};

static void parse_extension(struct request *out)
{
    struct wire_reader reader = wire_reader_over(out->text, out->text_bytes);
    struct wire_field field;
    out->text = (const uint8_t *)"";
    out->text_bytes = 0;
    while (wire_next(&reader, &field)) {
        if (field.number == EXTENSION_TYPE && field.type == WIRE_BYTES) {
            out->text = field.bytes;
            out->text_bytes = field.length;
        } else if (field.number == EXTENSION_NUMBER && field.type == WIRE_VARINT) {
            out->extension_number = (uint32_t)field.value;
        }
    }
}

static bool parse_request(const uint8_t *bytes, size_t length, struct request *out)
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;
    *out = (struct request){.host = (const uint8_t *)"", .text = (const uint8_t *)""};
    while (wire_next(&reader, &field)) {
        if (field.type != WIRE_BYTES) {
            continue;
        }
        if (field.number == REQUEST_HOST) {
            out->host = field.bytes;
            out->host_bytes = field.length;
        } else if (field.number >= REQUEST_FILE_BY_NAME && field.number <= REQUEST_SERVICES) {
            out->kind = field.number;
            out->text = field.bytes;
            out->text_bytes = field.length;
        }
    }
    if (out->kind == REQUEST_FILE_BY_EXTENSION) {
        parse_extension(out);
    }
    return reader.ok && out->kind != 0;
}

static void write_error(struct wire_writer *writer, enum rpc_status status, const char *message)
{
    const struct wire_mark error = wire_begin(writer, RESPONSE_ERROR, 1);
    wire_write_varint(writer, ERROR_CODE, status);
    wire_write_text(writer, ERROR_MESSAGE, message);
    wire_end(writer, error);
}

static void write_file(void *context, const uint8_t *bytes, size_t length)
{
    wire_write_bytes(context, FILES_DESCRIPTOR, bytes, length);
}

/* The file and all it imports: clients that ask file by file are spared the way. */
static void write_files(struct rpc_reflection *reflection, size_t file, struct wire_writer *writer)
{
    if (file == DESCRIPTOR_NONE) {
        write_error(writer, RPC_NOT_FOUND, "not found");
        return;
    }
    const struct wire_mark files = wire_begin(writer, RESPONSE_FILES, 3);
    const bool ok = descriptor_closure(reflection->set, file, write_file, writer);
    wire_end(writer, files);
    writer->ok = writer->ok && ok;
}

static void write_number(void *context, uint32_t number)
{
    wire_write_varint(context, NUMBERS_NUMBER, number);
}

static void write_numbers(struct rpc_reflection *reflection, const struct request *request,
                          struct wire_writer *writer)
{
    const char *type = (const char *)request->text;
    if (!descriptor_is_message(reflection->set, type, request->text_bytes)) {
        write_error(writer, RPC_NOT_FOUND, "no such message");
        return;
    }
    const struct wire_mark numbers = wire_begin(writer, RESPONSE_EXTENSION_NUMBERS, 1);
    wire_write_bytes(writer, NUMBERS_TYPE, type, request->text_bytes);
    descriptor_extensions(reflection->set, type, request->text_bytes, write_number, writer);
    wire_end(writer, numbers);
}

static void write_service(void *context, const char *name, size_t length)
{
    struct wire_writer *writer = context;
    const struct wire_mark service = wire_begin(writer, SERVICES_SERVICE, 1);
    wire_write_bytes(writer, SERVICE_NAME, name, length);
    wire_end(writer, service);
}

static void write_reply(struct rpc_reflection *reflection, const struct request *request,
                        struct wire_writer *writer)
{
    const char *text = (const char *)request->text;
    const size_t length = request->text_bytes;
    struct wire_mark services;
    switch (request->kind) {
    case REQUEST_FILE_BY_NAME:
        write_files(reflection, descriptor_file_by_name(reflection->set, text, length), writer);
        break;
    case REQUEST_FILE_BY_SYMBOL:
        write_files(reflection, descriptor_file_by_symbol(reflection->set, text, length), writer);
        break;
    case REQUEST_FILE_BY_EXTENSION:
        write_files(
            reflection,
            descriptor_file_by_extension(reflection->set, text, length, request->extension_number),
            writer);
        break;
    case REQUEST_EXTENSION_NUMBERS:
        write_numbers(reflection, request, writer);
        break;
    default:
        services = wire_begin(writer, RESPONSE_SERVICES, 2);
        rpc_server_services(reflection->server, write_service, writer);
        wire_end(writer, services);
        break;
    }
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct rpc_reflection *reflection = rpc_method_context(call);
    struct request request;
    if (length > REQUEST_BYTES_MAX || !parse_request(bytes, length, &request)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "the bytes are not a ServerReflectionRequest");
        return;
    }
    /* No answer is longer than the whole set with a little around it, or the list of services. */
    struct rpc_buffer buffer = rpc_buffer_new(reflection->set_bytes * 2 + SERVICES_BYTES +
                                              2 * REQUEST_BYTES_MAX + REPLY_SLACK_BYTES);
    struct wire_writer writer = wire_writer_over(buffer.data, buffer.capacity);
    wire_write_bytes(&writer, RESPONSE_HOST, request.host, request.host_bytes);
    wire_write_bytes(&writer, RESPONSE_REQUEST, bytes, length);
    write_reply(reflection, &request, &writer);
    if (!writer.ok) {
        rpc_buffer_discard(&buffer);
        rpc_finish(call, RPC_INTERNAL, "the answer does not fit");
        return;
    }
    const struct rpc_bytes reply = rpc_buffer_done(&buffer, wire_written(&writer));
    if (rpc_send(call, reply) == RPC_SEND_FULL) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "read the answers before asking more");
        return;
    }
    rpc_read_more(call);
}

static void on_half_close(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, NULL);
}

struct rpc_reflection *rpc_reflection_new(const uint8_t *descriptor_set, size_t length,
                                          struct error *err)
{
    struct descriptor_set *set = descriptor_set_new(descriptor_set, length, err);
    if (set == NULL) {
        return NULL;
    }
    struct rpc_reflection *reflection = calloc(1, sizeof *reflection);
    if (reflection == NULL) {
        descriptor_set_free(set);
        error_set(err, ENOMEM, "rpc: no memory for reflection");
        return NULL;
    }
    reflection->set = set;
    reflection->set_bytes = length;
    static const char *const paths[REFLECTION_METHODS] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    for (unsigned i = 0; i < REFLECTION_METHODS; i++) {
        reflection->methods[i] = (struct rpc_method){
            .path = paths[i],
            .context = reflection,
            .on_message = on_message,
            .on_half_close = on_half_close,
            .queue = {.messages_max = 64,
                      .bytes_max = length * 4 + SERVICES_BYTES,
                      .when_full = RPC_REJECT},
            .is_manual_read = true,
        };
    }
    return reflection;
}

void rpc_reflection_free(struct rpc_reflection *reflection)
{
    if (reflection != NULL) {
        descriptor_set_free(reflection->set);
        free(reflection);
    }
}

int rpc_reflection_add(struct rpc_reflection *reflection, struct rpc_server *server,
                       struct error *err)
{
    reflection->server = server;
    return rpc_server_add(server, reflection->methods, REFLECTION_METHODS, err);
}
