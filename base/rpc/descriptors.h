/* An index over a google.protobuf.FileDescriptorSet: which file holds a symbol, what a file needs.
 *
 * Reads the few fields of descriptor.proto that this takes. The set is borrowed; it is our own, but
 * everything is checked as if it were not. Depends on: base. Read-only once made: any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct descriptor_set;

/* NULL with `err` set. */
MUST_USE struct descriptor_set *descriptor_set_new(const uint8_t *bytes, size_t length,
                                                   struct error *err);
void descriptor_set_free(struct descriptor_set *set);

#define DESCRIPTOR_NONE SIZE_MAX

/* Number of the file, or DESCRIPTOR_NONE. Symbols are full names without a leading dot; a name
 * inside a known message ("pkg.Message.field") is found as well. */
size_t descriptor_file_by_name(const struct descriptor_set *set, const char *name, size_t length);
size_t descriptor_file_by_symbol(const struct descriptor_set *set, const char *symbol,
                                 size_t length);
size_t descriptor_file_by_extension(const struct descriptor_set *set, const char *extendee,
                                    size_t length, uint32_t number);
bool descriptor_is_message(const struct descriptor_set *set, const char *symbol, size_t length);
/* Calls `each` for the extension numbers of `extendee`. */
void descriptor_extensions(const struct descriptor_set *set, const char *extendee, size_t length,
                           void (*each)(void *context, uint32_t number), void *context);
/* Calls `each` for the file and then for all it imports, directly or not, each once. False: no
 * memory. */
MUST_USE bool descriptor_closure(const struct descriptor_set *set, size_t file,
                                 void (*each)(void *context, const uint8_t *bytes, size_t length),
                                 void *context);
