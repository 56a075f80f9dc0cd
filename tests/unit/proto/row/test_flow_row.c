/* FlowRow says what FlowRecord says: descriptor beside descriptor and value beside value, both read
 * by protobuf-c, which knows nothing of the way in proto/row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netscope/v1/flow.pb-c.h>
#include <netscope/v1/flow_row.pb-c.h>

#include "base/address.h"
#include "proto/codec.h"
#include "proto/row/flow_row.h"
#include "tests/support/record_random.h"

#define RECORDS 2000
#define BASE    32

static uint8_t encoded[4 * CODEC_FLOW_BYTES_MAX];
static uint8_t flat[FLOW_ROW_BYTES_MAX(sizeof encoded)];
static struct flow_record record;
static unsigned columns_seen;

/* ---- one field of a message, wherever it lies ---- */

struct place {
    const ProtobufCFieldDescriptor *field;
    const uint8_t *message; /* NULL: the message is absent */
};

static const void *member(struct place at)
{
    return at.message + at.field->offset;
}

static size_t count_of(struct place at)
{
    size_t count = 0;

    if (at.message != NULL) {
        memcpy(&count, at.message + at.field->quantifier_offset, sizeof count);
    }
    return count;
}

static bool is_repeated(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool has_presence(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* A member of a oneof that is set, or a field without presence. */
static bool is_there(struct place at)
{
    uint32_t member_set = 0;

    if (at.message == NULL) {
        return false;
    }
    if (has_presence(at.field)) {
        memcpy(&member_set, at.message + at.field->quantifier_offset, sizeof member_set);
        return member_set == at.field->id;
    }
    return true;
}

static uint64_t number_at(const ProtobufCFieldDescriptor *field, const void *value)
{
    uint32_t narrow = 0;
    int32_t narrow_signed = 0;
    uint64_t wide = 0;

    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_INT64:
        memcpy(&wide, value, sizeof wide);
        return wide;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT32:
        memcpy(&narrow_signed, value, sizeof narrow_signed);
        return (uint64_t)(int64_t)narrow_signed;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)value != 0;
    default:
        memcpy(&narrow, value, sizeof narrow);
        return narrow;
    }
}

static size_t width_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_INT64:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

/* The value of element `index` of a list, or of a field alone. */
static const void *value_of(struct place at, size_t index)
{
    const uint8_t *list;

    if (!is_repeated(at.field)) {
        return member(at);
    }
    memcpy(&list, member(at), sizeof list);
    return list + index * width_of(at.field);
}

static const char *text_at(const void *value)
{
    const char *text;

    memcpy(&text, value, sizeof text);
    return text;
}

static bool is_time(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE &&
           (field->descriptor == &google__protobuf__timestamp__descriptor ||
            field->descriptor == &google__protobuf__duration__descriptor);
}

static bool is_duration(const ProtobufCFieldDescriptor *field)
{
    return field->descriptor == &google__protobuf__duration__descriptor;
}

/* ---- the rule, once more and by itself ---- */

static void assert_address(const char *text, const ProtobufCBinaryData *bytes)
{
    struct ip_address address;

    if (text == NULL || text[0] == '\0') {
        assert_int_equal(bytes->len, 0);
        return;
    }
    assert_true(address_parse(text, strlen(text), &address));
    assert_int_equal(bytes->len, 16);
    if (address.version == 4) {
        assert_memory_equal(bytes->data, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
        assert_memory_equal(bytes->data + 12, address.bytes, 4);
    } else {
        assert_memory_equal(bytes->data, address.bytes, 16);
    }
}

static void assert_time(struct place from, struct place row, size_t index, bool is_in_list)
{
    const Google__Protobuf__Timestamp *time = NULL;

    if (from.message != NULL) {
        memcpy(&time, member(from), sizeof time);
    }
    const uint64_t ns =
        time == NULL ? 0 : (uint64_t)time->seconds * 1000000000 + (uint64_t)time->nanos;

    if (is_duration(from.field) && !is_in_list) {
        assert_int_equal(is_there(row), time != NULL);
        assert_true(has_presence(row.field));
    }
    if (is_duration(from.field) && is_in_list && time == NULL) {
        assert_true(number_at(row.field, value_of(row, index)) == UINT64_MAX);
    } else if (time != NULL || is_in_list) {
        assert_true(number_at(row.field, value_of(row, index)) == ns);
    }
}

static void assert_value(struct place from, struct place row, size_t index, bool is_in_list)
{
    const void *to = value_of(row, index);

    if (row.field->type == PROTOBUF_C_TYPE_BYTES && from.field->type == PROTOBUF_C_TYPE_STRING) {
        assert_address(from.message == NULL ? "" : text_at(member(from)), to);
    } else if (from.field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = from.message == NULL ? "" : text_at(member(from));

        assert_string_equal(text == NULL ? "" : text, text_at(to));
    } else if (!is_there(from)) {
        const bool may_be_absent = has_presence(from.field);

        assert_true(number_at(row.field, to) == (is_in_list && may_be_absent ? UINT64_MAX : 0));
    } else {
        assert_true(number_at(from.field, member(from)) == number_at(row.field, to));
    }
}

/* A repeated number or text outside of any list. */
static void assert_lists(struct place from, struct place row)
{
    assert_int_equal(count_of(from), count_of(row));
    for (size_t i = 0; i < count_of(from); i++) {
        if (from.field->type == PROTOBUF_C_TYPE_STRING) {
            assert_string_equal(text_at(value_of(from, i)), text_at(value_of(row, i)));
        } else {
            assert_true(number_at(from.field, value_of(from, i)) ==
                        number_at(row.field, value_of(row, i)));
        }
    }
}

/* Texts of a list inside a list: one text, with commas between. */
static void assert_joined(struct place from, struct place row, size_t index)
{
    char joined[4096];
    size_t length = 0;

    joined[0] = '\0';
    for (size_t i = 0; i < count_of(from); i++) {
        const int added = snprintf(joined + length, sizeof joined - length, "%s%s",
                                   i == 0 ? "" : ",", text_at(value_of(from, i)));

        assert_in_range(added, 0, sizeof joined - length - 1);
        length += (size_t)added;
    }
    assert_string_equal(joined, text_at(value_of(row, index)));
}

struct way {
    const char *prefix;
    uint32_t number;
    bool is_in_list;
    size_t index; /* of the element of the list */
    size_t count; /* of all elements */
};

static struct place row_field(const struct way *way, const ProtobufCFieldDescriptor *field,
                              const Netscope__V1__FlowRow *row)
{
    char name[160];

    (void)snprintf(name, sizeof name, "%s%s%s", way->prefix, field->name,
                   !is_time(field)      ? ""
                   : is_duration(field) ? "_nanos"
                                        : "_unix_nanos");
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(&netscope__v1__flow_row__descriptor, name);

    if (found == NULL) {
        fail_msg("FlowRow has no field %s", name);
    }
    assert_int_equal(found->id, way->number * BASE + field->id);
    assert_int_equal(is_repeated(found), way->is_in_list || is_repeated(field));
    return (struct place){found, (const uint8_t *)row};
}

static void assert_same(const ProtobufCMessageDescriptor *type, const void *message,
                        const Netscope__V1__FlowRow *row, struct way way);

static void assert_inside(struct place from, const Netscope__V1__FlowRow *row,
                          const struct way *way)
{
    char prefix[160];

    (void)snprintf(prefix, sizeof prefix, "%s%s_", way->prefix, from.field->name);
    struct way inside = {prefix, way->number * BASE + from.field->id, way->is_in_list, way->index,
                         way->count};
    const void *message = NULL;

    if (!is_repeated(from.field)) {
        if (from.message != NULL) {
            memcpy(&message, member(from), sizeof message);
        }
        assert_same(from.field->descriptor, message, row, inside);
        return;
    }
    inside.is_in_list = true;
    inside.count = count_of(from);
    assert_same(from.field->descriptor, NULL, row, inside); /* the descriptors, and the counts */
    for (size_t i = 0; i < inside.count; i++) {
        const void *const *elements;

        memcpy(&elements, member(from), sizeof elements);
        inside.index = i + 1;
        assert_same(from.field->descriptor, elements[i], row, inside);
    }
}

/* `way.index` counts from 1; 0: there is no element to look at. */
static void assert_same(const ProtobufCMessageDescriptor *type, const void *message,
                        const Netscope__V1__FlowRow *row, struct way way)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct place from = {&type->fields[i], message};

        if (from.field->type == PROTOBUF_C_TYPE_MESSAGE && !is_time(from.field)) {
            assert_inside(from, row, &way);
            continue;
        }
        const struct place to = row_field(&way, from.field, row);

        if (way.index == 0) {
            columns_seen++;
        }
        if (way.is_in_list) {
            assert_int_equal(count_of(to), way.count);
        }
        if (way.is_in_list && way.index == 0) {
            continue;
        }
        const size_t index = way.is_in_list ? way.index - 1 : 0;

        if (is_time(from.field)) {
            assert_time(from, to, index, way.is_in_list);
        } else if (is_repeated(from.field) && way.is_in_list) {
            assert_joined(from, to, index);
        } else if (is_repeated(from.field)) {
            assert_lists(from, to);
        } else {
            if (!way.is_in_list && has_presence(from.field)) {
                assert_int_equal(is_there(from), is_there(to));
            }
            assert_value(from, to, index, way.is_in_list);
        }
    }
}

static void assert_row_of(const uint8_t *bytes, size_t length)
{
    const size_t row_length = flow_row_from_flow(bytes, length, flat, sizeof flat);

    assert_true(length == 0 || row_length > 0);
    assert_true(row_length <= FLOW_ROW_BYTES_MAX(length));
    Netscope__V1__FlowRecord *from = netscope__v1__flow_record__unpack(NULL, length, bytes);
    Netscope__V1__FlowRow *row = netscope__v1__flow_row__unpack(NULL, row_length, flat);

    assert_non_null(from);
    assert_non_null(row);
    assert_int_equal(row->base.n_unknown_fields, 0);
    columns_seen = 0;
    assert_same(&netscope__v1__flow_record__descriptor, from, row, (struct way){.prefix = ""});
    /* FlowRow has no field that FlowRecord has not. */
    assert_int_equal(columns_seen, netscope__v1__flow_row__descriptor.n_fields);
    netscope__v1__flow_record__free_unpacked(from, NULL);
    netscope__v1__flow_row__free_unpacked(row, NULL);
}

/* ---- */

static void every_field_of_a_record_has_its_field_in_the_row(void **state)
{
    const char *name;

    (void)state;
    if (flow_row_missing(&name) != 0) {
        fail_msg("FlowRow has no field for %s: run check_proto.py --update", name);
    }
    assert_row_of((const uint8_t *)"", 0);
}

static void a_row_has_the_values_of_its_record(void **state)
{
    struct record_random random = record_random_from(7);

    (void)state;
    for (int i = 0; i < RECORDS; i++) {
        record_random_flow(&random, &record);
        assert_row_of(encoded, codec_encode_flow(&record, encoded, sizeof encoded));
    }
}

/* What the sensor does not write: labels (a map), observers, presence without a value. */
static void lists_of_messages_and_maps_become_lists_of_one_length(void **state)
{
    Netscope__V1__Endpoint__LabelsEntry labels[3];
    Netscope__V1__Endpoint__LabelsEntry *label_list[] = {&labels[0], &labels[1], &labels[2]};
    Netscope__V1__FlowObserver observers[2];
    Netscope__V1__FlowObserver *observer_list[] = {&observers[0], &observers[1]};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Netscope__V1__Endpoint client = NETSCOPE__V1__ENDPOINT__INIT;
    Netscope__V1__FlowRecord message = NETSCOPE__V1__FLOW_RECORD__INIT;

    (void)state;
    for (int i = 0; i < 3; i++) {
        netscope__v1__endpoint__labels_entry__init(&labels[i]);
    }
    labels[0].key = (char *)(uintptr_t) "site";
    labels[0].value = (char *)(uintptr_t) "paris";
    labels[2].key = (char *)(uintptr_t) "empty value";
    client.n_labels = 3;
    client.labels = label_list;
    netscope__v1__flow_observer__init(&observers[0]);
    netscope__v1__flow_observer__init(&observers[1]);
    time.seconds = 1700000000;
    time.nanos = 5;
    observers[1].first_time = &time;
    observers[1].sensor_id = (char *)(uintptr_t) "other";
    observers[1].total_bytes = UINT64_MAX;
    observers[1].primary = 1;
    message.client = &client;
    message.n_observers = 2;
    message.observers = observer_list;
    message.vlan_id_value_case = NETSCOPE__V1__FLOW_RECORD__VLAN_ID_VALUE_VLAN_ID; /* VLAN 0 */
    const size_t length = netscope__v1__flow_record__pack(&message, encoded);

    assert_row_of(encoded, length);
    Netscope__V1__FlowRow *row = netscope__v1__flow_row__unpack(
        NULL, flow_row_from_flow(encoded, length, flat, sizeof flat), flat);

    assert_int_equal(row->n_client_labels_key, 3);
    assert_string_equal(row->client_labels_value[0], "paris");
    assert_string_equal(row->client_labels_key[1], "");
    assert_true(row->observers_first_time_unix_nanos[1] == UINT64_C(1700000000000000005));
    assert_int_equal(row->vlan_id_value_case, NETSCOPE__V1__FLOW_ROW__VLAN_ID_VALUE_VLAN_ID);
    netscope__v1__flow_row__free_unpacked(row, NULL);
}

static void an_unanswered_question_keeps_its_place_in_the_lists(void **state)
{
    (void)state;
    record = (struct flow_record){.has_dns = true};
    record.dns.queries_count = 2;
    record.dns.queries[0] = (struct flow_dns_query){.name = {"a.example", 9}, .type = 1};
    record.dns.queries[1] = (struct flow_dns_query){.name = {"b.example", 9},
                                                    .type = 28,
                                                    .has_rcode = true,
                                                    .has_latency = true,
                                                    .rcode = 3,
                                                    .latency_ns = 5};
    const size_t length = codec_encode_flow(&record, encoded, sizeof encoded);
    Netscope__V1__FlowRow *row = netscope__v1__flow_row__unpack(
        NULL, flow_row_from_flow(encoded, length, flat, sizeof flat), flat);

    assert_int_equal(row->n_dns_queries_name, 2);
    assert_int_equal(row->dns_queries_rcode[0], -1);
    assert_int_equal(row->dns_queries_latency_nanos[0], -1);
    assert_int_equal(row->dns_queries_rcode[1], 3);
    assert_int_equal(row->dns_queries_latency_nanos[1], 5);
    netscope__v1__flow_row__free_unpacked(row, NULL);
}

static void a_row_that_does_not_fit_is_refused_at_every_length(void **state)
{
    struct record_random random = record_random_from(9);

    (void)state;
    for (int i = 0; i < 20; i++) {
        record_random_flow(&random, &record);
        const size_t length = codec_encode_flow(&record, encoded, sizeof encoded);
        const size_t whole = flow_row_from_flow(encoded, length, flat, sizeof flat);

        for (size_t room = 0; room < whole; room += 1 + room / 16) {
            uint8_t *out = malloc(room + 1);

            assert_non_null(out);
            assert_int_equal(flow_row_from_flow(encoded, length, out, room), 0);
            free(out);
        }
    }
}

/* Each cut record has a heap block of exactly its size. */
static void a_record_that_is_cut_short_gives_a_row_of_its_whole_fields_or_none(void **state)
{
    struct record_random random = record_random_from(10);

    (void)state;
    record_random_flow(&random, &record);
    const size_t length = codec_encode_flow(&record, encoded, sizeof encoded);

    for (size_t kept = 1; kept < length; kept++) {
        uint8_t *bytes = malloc(kept);

        assert_non_null(bytes);
        memcpy(bytes, encoded, kept);
        const size_t row = flow_row_from_flow(bytes, kept, flat, sizeof flat);
        Netscope__V1__FlowRecord *read = netscope__v1__flow_record__unpack(NULL, kept, bytes);

        assert_int_equal(row > 0, read != NULL);
        if (read != NULL) {
            netscope__v1__flow_record__free_unpacked(read, NULL);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_record_has_its_field_in_the_row),
        cmocka_unit_test(a_row_has_the_values_of_its_record),
        cmocka_unit_test(lists_of_messages_and_maps_become_lists_of_one_length),
        cmocka_unit_test(an_unanswered_question_keeps_its_place_in_the_lists),
        cmocka_unit_test(a_row_that_does_not_fit_is_refused_at_every_length),
        cmocka_unit_test(a_record_that_is_cut_short_gives_a_row_of_its_whole_fields_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
