/* DnsService. */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "netscope/v1/dns_service.pb-c.h"
#include "proto/serve/grpc_serve.h"

void grpc_dns_choice_free(struct grpc_dns_choice *choice)
{
    for (uint32_t i = 0; i < choice->names_count; i++) {
        free(choice->names[i]);
    }
    free(choice->names);
    free(choice->prefixes);
    free(choice->types);
    free(choice->rcodes);
}

/* ---- reading the request ---- */

static bool check_count(struct grpc_ask *ask, const char *name, size_t count)
{
    if (count > GRPC_CHOICES_MAX) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: at most %d", name, GRPC_CHOICES_MAX);
        return false;
    }
    return true;
}

static bool refuse_memory(struct grpc_ask *ask)
{
    grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
    return false;
}

static bool read_names(struct grpc_ask *ask, char *const *texts, size_t count,
                       struct grpc_dns_choice *out)
{
    if (count == 0) {
        return true;
    }
    if (!check_count(ask, "name", count)) {
        return false;
    }
    out->names = calloc(count, sizeof(*out->names));
    if (out->names == NULL) {
        return refuse_memory(ask);
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(texts[i]);

        while (length > 1 && texts[i][length - 1] == '.') {
            length--; /* the root's dot, which records do not write */
        }
        if (length == 0 || length > 1024) {
            grpc_refuse_field(ask, "name", "INVALID_FILTER", -1,
                              "name[%zu]: 1 to 1024 characters, '.example.com' for all below it",
                              i);
            return false;
        }
        out->names[i] = calloc(1, length + 1);
        if (out->names[i] == NULL) {
            return refuse_memory(ask);
        }
        for (size_t j = 0; j < length; j++) {
            out->names[i][j] = ascii_lower(texts[i][j]);
        }
        out->names_count++;
    }
    return true;
}

static bool read_numbers(struct grpc_ask *ask, const char *name, const uint32_t *values,
                         size_t count, uint32_t **out, uint32_t *out_count)
{
    if (count == 0) {
        return true;
    }
    if (!check_count(ask, name, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (values[i] > UINT16_MAX) {
            grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s[%zu]: %u is none", name, i,
                              values[i]);
            return false;
        }
    }
    *out = calloc(count, sizeof(**out));
    if (*out == NULL) {
        return refuse_memory(ask);
    }
    memcpy(*out, values, count * sizeof(**out));
    *out_count = (uint32_t)count;
    return true;
}

/* ---- matching ---- */

static bool ends_with(const struct record_text *name, const char *tail, size_t length)
{
    if (name->length < length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (ascii_lower(name->data[name->length - length + i]) != tail[i]) {
            return false;
        }
    }
    return true;
}

static bool is_name(const struct record_text *name, const char *wanted)
{
    const size_t length = strlen(wanted);

    if (wanted[0] == '.' && length > 1) { /* the zone itself, or below it */
        return ends_with(name, wanted, length) ||
               (name->length == length - 1 && ends_with(name, wanted + 1, length - 1));
    }
    return name->length == length && ends_with(name, wanted, length);
}

static bool is_one_of(const uint32_t *values, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return count == 0;
}

static bool is_inside(const struct grpc_dns_choice *choice, const struct dns_transaction *dns)
{
    for (uint32_t i = 0; i < choice->prefixes_count; i++) {
        if (prefix_contains(&choice->prefixes[i], &dns->client_ip) ||
            prefix_contains(&choice->prefixes[i], &dns->server_ip)) {
            return true;
        }
    }
    return choice->prefixes_count == 0;
}

static bool is_named(const struct grpc_dns_choice *choice, const struct dns_transaction *dns)
{
    for (uint32_t i = 0; i < choice->names_count; i++) {
        if (is_name(&dns->name, choice->names[i])) {
            return true;
        }
    }
    return choice->names_count == 0;
}

bool grpc_dns_matches(struct grpc_server *server, const struct grpc_dns_choice *choice,
                      const uint8_t *bytes, size_t length)
{
    struct dns_transaction *dns = server->dns;

    return codec_decode_dns(bytes, length, dns) &&
           is_one_of(choice->types, choice->types_count, dns->type) &&
           (choice->rcodes_count == 0 ||
            (dns->has_response && is_one_of(choice->rcodes, choice->rcodes_count, dns->rcode))) &&
           is_inside(choice, dns) && is_named(choice, dns);
}

/* ---- ObserveDns ---- */

void grpc_observe_dns(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const struct grpc_server *server = ask->server;
    const Netscope__V1__ObserveDnsRequest *request =
        (const Netscope__V1__ObserveDnsRequest *)grpc_unpack(
            ask, &netscope__v1__observe_dns_request__descriptor, bytes, length);

    if (request == NULL) {
        return;
    }
    if (!server->settings.has_dns_records) {
        grpc_refuse(ask, RPC_FAILED_PRECONDITION, "DNS_RECORDS_OFF", -1,
                    "this %s does not keep DNS transactions: set dns.records: true",
                    server->program->name);
        return;
    }
    const uint32_t max_batch = grpc_read_max_batch(ask, request->max_batch);
    struct grpc_reader *reader = max_batch == 0 ? NULL : grpc_reader_new(ask, RECORD_DNS);

    if (reader == NULL) {
        return;
    }
    struct grpc_dns_choice *choice = &reader->dns;

    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors) ||
        !grpc_read_prefixes(ask, "ip", request->ip, request->n_ip, &choice->prefixes,
                            &choice->prefixes_count) ||
        !read_names(ask, request->name, request->n_name, choice) ||
        !read_numbers(ask, "types", request->types, request->n_types, &choice->types,
                      &choice->types_count) ||
        !read_numbers(ask, "rcodes", request->rcodes, request->n_rcodes, &choice->rcodes,
                      &choice->rcodes_count)) {
        grpc_reader_free(reader);
        return;
    }
    reader->has_choice = true;
    reader->is_following = request->follow;
    reader->batch_max = max_batch;
    grpc_reader_rewind(reader, request->last == 0 ? UINT64_MAX : request->last);
    grpc_reader_start(reader);
}
