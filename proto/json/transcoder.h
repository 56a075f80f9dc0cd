/* protobuf bytes <-> proto3 JSON by descriptors: one mapping for every message of netscope.v1.
 *
 * Out: snake_case names, enums by full name, 64-bit numbers as strings, Timestamp RFC 3339 with Z,
 * Duration "1.500s" (0, 3, 6 or 9 digits), FieldMask "startTime,app", bytes base64, NaN and
 * infinity as text; numbers, texts, bools and enums without presence always printed, absent
 * messages, absent members of a oneof and empty lists and maps left out. In: both name forms
 * (snake_case and lowerCamelCase), numbers as text or number, enums by name or number. The
 * descriptors are the embedded FileDescriptorSet. Depends on: base, proto. Pure after
 * the first call; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/json_writer.h"

/* The FileDescriptorSet of netscope.v1, health and reflection with all imports. Static. */
const uint8_t *json_descriptor_set(size_t *length);

struct json_message; /* index of one message type; static after the first call */

/* "netscope.v1.FlowRecord"; NULL when there is no such message. */
const struct json_message *json_message_find(const char *full_name);

/* Writes the message as one JSON object. False: `bytes` are no such message, or nested deeper
 * than 32. */
MUST_USE bool json_from_wire(const struct json_message *message, const uint8_t *bytes,
                             size_t length, struct json_writer *out);

/* Reads one JSON object. Returns the bytes written, or 0 with `err` set; "{}" is 0 bytes without an
 * error, so that err->code decides (`err` is cleared first; position and field are named:
 * "line 1 column 9: unknown field 'filtr' of netscope.v1.ObserveFlowsRequest; did you mean
 * 'filter'?"). Bounded depth. */
MUST_USE size_t json_to_wire(const struct json_message *message, const char *text,
                             size_t text_length, uint8_t *out, size_t capacity, struct error *err);

/* Puts one query parameter into a request: `path` "page_size" or "stream.name"; repeated fields by
 * repeated calls. Enums by name or by the number of one. Appends to the wire bytes in `out`, whose
 * length is *length. 0, or -errno with `err` naming the parameter. */
MUST_USE int json_set_parameter(const struct json_message *message, const char *path,
                                const char *value, uint8_t *out, size_t capacity, size_t *length,
                                struct error *err);
/* May `path` be given several times? False also where there is no such field. */
bool json_parameter_is_list(const struct json_message *message, const char *path);
