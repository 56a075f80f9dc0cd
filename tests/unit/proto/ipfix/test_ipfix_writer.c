/* Messages are read here by RFC 7011 alone: a session's templates tell how its records are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "proto/ipfix/ipfix.h"
#include "tests/support/record_random.h"

#define RECORDS       3000
#define TEMPLATES_MAX 32
#define FIELDS_MAX    64
#define REVERSE       29305
#define ENTERPRISE    424242

struct specifier {
    uint16_t id, length;
    uint32_t enterprise;
};

struct template
{
    uint16_t id, count, scopes;
    struct specifier fields[FIELDS_MAX];
};

/* What a collector knows of a session, and what it has counted. */
struct session {
    struct template templates[TEMPLATES_MAX];
    unsigned templates_count;
    uint32_t sequence;
    uint64_t data_records, flow_records, packets, reverse_packets, octets, frames_octets;
    uint64_t interfaces, types, last_flow_id;
    uint32_t last_icmp;
    char last_text[9][80]; /* texts of the last flow, in the order of its template */
    unsigned last_texts;
};

static uint64_t number(const uint8_t *at, size_t length)
{
    uint64_t value = 0;

    for (size_t i = 0; i < length; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static struct template *find(struct session *session, uint64_t id)
{
    for (unsigned i = 0; i < session->templates_count; i++) {
        if (session->templates[i].id == id) {
            return &session->templates[i];
        }
    }
    return NULL;
}

static size_t read_template(struct session *session, const uint8_t *at, bool is_options)
{
    struct template read = {(uint16_t)number(at, 2), (uint16_t)number(at + 2, 2), 0, {{0}}};
    const uint8_t *begin = at;
    struct template *known = find(session, read.id);

    at += 4;
    if (is_options) {
        read.scopes = (uint16_t)number(at, 2);
        assert_in_range(read.scopes, 1, read.count);
        at += 2;
    }
    assert_in_range(read.count, 1, FIELDS_MAX);
    for (unsigned i = 0; i < read.count; i++) {
        read.fields[i].id = (uint16_t)(number(at, 2) & 0x7fff);
        read.fields[i].length = (uint16_t)number(at + 2, 2);
        if ((at[0] & 0x80) != 0) {
            read.fields[i].enterprise = (uint32_t)number(at + 4, 4);
            at += 4;
        }
        at += 4;
    }
    if (known != NULL) {
        assert_memory_equal(known, &read, sizeof(read)); /* 8.1: never another under one id */
    } else {
        assert_true(session->templates_count < TEMPLATES_MAX);
        session->templates[session->templates_count++] = read;
    }
    return (size_t)(at - begin);
}

static void assert_text(const uint8_t *bytes, size_t length)
{
    uint32_t code = 0;

    for (size_t i = 0; i < length;) {
        const unsigned taken = utf8_read(bytes + i, length - i, &code);

        assert_true(taken > 0);
        assert_false(utf8_is_control(code));
        i += taken;
    }
    assert_true(length <= 64);
}

static void take_value(struct session *session, const struct specifier *field, uint64_t value)
{
    if (field->enterprise == REVERSE) {
        session->reverse_packets += field->id == 2 ? value : 0;
        session->packets += field->id == 2 ? value : 0;
        session->octets += field->id == 1 ? value : 0;
        session->frames_octets += field->id == 352 ? value : 0;
    } else if (field->enterprise == 0) {
        session->packets += field->id == 2 ? value : 0;
        session->octets += field->id == 1 ? value : 0;
        session->frames_octets += field->id == 352 ? value : 0;
        session->last_flow_id = field->id == 148 ? value : session->last_flow_id;
        session->last_icmp =
            field->id == 32 || field->id == 139 ? (uint32_t)value : session->last_icmp;
    }
}

static size_t read_record(struct session *session, const struct template *template,
                          const uint8_t *at)
{
    const uint8_t *begin = at;

    session->last_texts = 0;
    for (unsigned i = 0; i < template->count; i++) {
        size_t length = template->fields[i].length;

        if (length == 65535) {
            length = *at++;
            assert_int_not_equal(length, 255); /* short form alone */
            assert_text(at, length);
            assert_true(session->last_texts < 9);
            (void)snprintf(session->last_text[session->last_texts++], 80, "%.*s", (int)length, at);
        } else if (length <= 8) {
            take_value(session, &template->fields[i], number(at, length));
        }
        at += length;
    }
    session->data_records++;
    session->flow_records += template->scopes == 0;
    session->interfaces += template->id == 513;
    session->types += template->id == 514;
    return (size_t)(at - begin);
}

static void read_message(struct session *session, const struct ipfix_message *message)
{
    const uint8_t *at = message->bytes;
    const uint8_t *end = at + message->length;

    assert_int_equal(number(at, 2), 10);
    assert_int_equal(number(at + 2, 2), message->length);
    assert_int_equal(number(at + 8, 4), session->sequence);
    const uint64_t before = session->data_records;

    for (at += 16; at < end;) {
        const uint64_t id = number(at, 2);
        const uint8_t *set_end = at + number(at + 2, 2);

        assert_true(set_end <= end && set_end > at + 4);
        for (at += 4; at < set_end;) {
            struct template *template = find(session, id);

            if (id == 2 || id == 3) {
                at += read_template(session, at, id == 3);
            } else {
                assert_non_null(template);
                at += read_record(session, template, at);
            }
        }
        assert_ptr_equal(at, set_end);
    }
    assert_int_equal(session->data_records - before, message->data_records);
    session->sequence += message->data_records;
}

static uint32_t index_of(const char *name)
{
    return strcmp(name, "eth0") == 0 ? 2 : 0;
}

static struct ipfix_writer *writer_of(bool is_biflow, uint32_t enterprise, uint32_t bytes)
{
    const struct ipfix_settings settings = {7, enterprise, bytes, is_biflow, index_of};
    struct error err = {0};
    struct ipfix_writer *writer = ipfix_writer_new(&settings, &err);

    assert_non_null(writer);
    return writer;
}

/* Adds it, with messages read as they get full; what became of it. */
static enum ipfix_added add(struct ipfix_writer *writer, struct session *session,
                            const struct flow_record *record)
{
    enum ipfix_added added = ipfix_writer_add(writer, record);
    struct ipfix_message message;

    for (int i = 0; added == IPFIX_FULL; i++) {
        assert_true(i < 50);
        assert_true(ipfix_writer_finish(writer, 1, &message));
        read_message(session, &message);
        added = ipfix_writer_add(writer, record);
    }
    return added;
}

static void finish(struct ipfix_writer *writer, struct session *session)
{
    struct ipfix_message message;

    if (ipfix_writer_finish(writer, 5 * NS_PER_SEC, &message)) {
        read_message(session, &message);
    }
}

/* ---- */

static void sums_of_any_records_arrive_in_messages_within_their_bound(void **state)
{
    static struct flow_record record;
    static struct session session;

    (void)state;
    for (unsigned way = 0; way < 8; way++) {
        struct ipfix_writer *writer = writer_of((way & 1) != 0, (way & 2) != 0 ? ENTERPRISE : 0,
                                                (way & 4) != 0 ? 1024 : 65535);
        struct record_random random = record_random_from(41 + way);
        uint64_t packets = 0, octets = 0, frames = 0, records = 0;

        session = (struct session){0};
        for (unsigned i = 0; i < RECORDS; i++) {
            record_random_flow(&random, &record);
            const struct flow_counters *sides[2] = {&record.forward, &record.reverse};
            const bool is_ip = record.ip_version == 4 || record.ip_version == 6;
            uint64_t told = 0;

            for (int side = 0; side < 2 && is_ip; side++) {
                if (sides[side]->delta_packets > 0 || (way & 1) != 0) {
                    told += sides[side]->delta_packets > 0;
                    packets += sides[side]->delta_packets;
                    octets += sides[side]->delta_packets > 0 || (way & 1) != 0
                                  ? sides[side]->delta_ip_bytes
                                  : 0;
                    frames += sides[side]->delta_bytes;
                }
            }
            if (told == 0 && is_ip && (way & 1) != 0) { /* a biflow without packets is none */
                octets -= sides[0]->delta_ip_bytes + sides[1]->delta_ip_bytes;
                frames -= sides[0]->delta_bytes + sides[1]->delta_bytes;
            }
            records += (way & 1) != 0 ? told > 0 : told;
            assert_int_equal(add(writer, &session, &record),
                             told > 0 ? IPFIX_ADDED : IPFIX_LEFT_OUT);
            if (told > 0) {
                finish(writer, &session);
                assert_true(session.last_flow_id == record.flow_id);
            }
        }
        assert_true(session.packets == packets);
        assert_true(session.octets == octets);
        assert_true(session.frames_octets == frames);
        assert_true(session.flow_records == records);
        struct ipfix_totals totals;

        ipfix_writer_totals(writer, &totals);
        assert_true(totals.flow_records == records);
        ipfix_writer_free(writer);
    }
}

static struct flow_record small_flow(void)
{
    struct flow_record record = {.ip_version = 4,
                                 .ip_protocol = 6,
                                 .flow_id = 77,
                                 .has_tcp = true,
                                 .interface = {"eth0", 4},
                                 .app = {"tls", 3},
                                 .start_ns = 3 * NS_PER_SEC,
                                 .end_ns = 4 * NS_PER_SEC,
                                 .client = {.ip = {{192, 0, 2, 1}, 4}, .port = 40000},
                                 .server = {.ip = {{192, 0, 2, 2}, 4}, .port = 443}};

    record.forward.delta_packets = 3;
    record.reverse.delta_packets = 2;
    return record;
}

static void a_new_session_and_a_repeat_tell_templates_before_records(void **state)
{
    static struct session first, second;
    struct ipfix_writer *writer = writer_of(false, ENTERPRISE, 1400);
    const struct flow_record record = small_flow();

    (void)state;
    first = second = (struct session){0};
    assert_int_equal(add(writer, &first, &record), IPFIX_ADDED);
    finish(writer, &first);
    assert_int_equal(first.flow_records, 2);
    assert_int_equal(first.interfaces, 1);
    assert_int_equal(first.types, 13);
    /* Once told they are not told again ... */
    const uint64_t before = first.data_records;

    assert_int_equal(add(writer, &first, &record), IPFIX_ADDED);
    finish(writer, &first);
    assert_int_equal(first.data_records - before, 2);
    /* ... until it is asked for, ... */
    ipfix_writer_repeat(writer);
    assert_int_equal(add(writer, &first, &record), IPFIX_ADDED);
    finish(writer, &first);
    assert_int_equal(first.interfaces, 2);
    /* ... or a session begins, from sequence 0, for somebody who knows nothing. */
    ipfix_writer_begin(writer);
    assert_int_equal(add(writer, &second, &record), IPFIX_ADDED);
    finish(writer, &second);
    assert_int_equal(second.flow_records, 2);
    ipfix_writer_free(writer);
}

static void a_message_that_never_left_takes_its_place_in_the_next_session(void **state)
{
    static struct session session;
    static uint8_t kept[1400];
    struct ipfix_writer *writer = writer_of(false, 0, 1400);
    const struct flow_record record = small_flow();
    struct ipfix_message message;

    (void)state;
    session = (struct session){0};
    while (!ipfix_writer_tell(writer)) {
        assert_true(ipfix_writer_finish(writer, 1, &message));
    }
    assert_true(ipfix_writer_finish(writer, 1, &message));
    for (int i = 0; i < 2; i++) { /* the first one tells of its interface, too */
        assert_int_equal(ipfix_writer_add(writer, &record), IPFIX_ADDED);
        assert_true(ipfix_writer_finish(writer, 1, &message));
    }
    assert_int_equal(message.flows, 1);
    memcpy(kept, message.bytes, message.length);
    ipfix_writer_begin(writer);
    bool is_told = false;

    while (!is_told) {
        struct ipfix_message told;

        is_told = ipfix_writer_tell(writer);
        assert_true(ipfix_writer_finish(writer, 1, &told));
        read_message(&session, &told);
    }
    ipfix_writer_renumber(writer, &message, kept);
    message.bytes = kept;
    read_message(&session, &message);
    assert_int_equal(session.flow_records, 2);
    assert_int_equal(add(writer, &session, &record), IPFIX_ADDED);
    finish(writer, &session); /* and the next one's number fits */
    assert_int_equal(session.flow_records, 4);
    struct ipfix_totals totals;

    ipfix_writer_totals(writer, &totals);
    assert_int_equal(totals.flow_records, 4);
    ipfix_writer_free(writer);
}

static void what_tells_no_packets_is_left_out(void **state)
{
    static struct session session;
    struct ipfix_writer *writer = writer_of(true, 0, 1024);
    struct flow_record record = small_flow();

    (void)state;
    session = (struct session){0};
    record.forward.delta_packets = record.reverse.delta_packets = 0;
    assert_int_equal(add(writer, &session, &record), IPFIX_LEFT_OUT);
    record = small_flow();
    record.ip_version = 0;
    assert_int_equal(add(writer, &session, &record), IPFIX_LEFT_OUT);
    ipfix_writer_free(writer);
}

static void an_answer_to_a_ping_has_the_type_of_an_answer(void **state)
{
    static const uint8_t versions[] = {4, 6}, asks[] = {8, 128}, answers[] = {0, 129};

    (void)state;
    for (int i = 0; i < 2; i++) {
        static struct session session;
        struct ipfix_writer *writer = writer_of(false, 0, 1400);
        struct flow_record record = small_flow();

        session = (struct session){0};
        record.has_tcp = false;
        record.has_icmp = true;
        record.ip_protocol = i == 0 ? 1 : 58;
        record.ip_version = record.client.ip.version = record.server.ip.version = versions[i];
        record.icmp_type = asks[i];
        record.reverse.delta_packets = 0;
        assert_int_equal(add(writer, &session, &record), IPFIX_ADDED);
        finish(writer, &session);
        assert_int_equal(session.last_icmp, asks[i] << 8);
        record.forward.delta_packets = 0;
        record.reverse.delta_packets = 1;
        assert_int_equal(add(writer, &session, &record), IPFIX_ADDED);
        finish(writer, &session);
        assert_int_equal(session.last_icmp, answers[i] << 8);
        ipfix_writer_free(writer);
    }
}

static void names_from_the_wire_are_cut_between_characters_and_steer_nothing(void **state)
{
    static struct session session;
    struct ipfix_writer *writer = writer_of(false, ENTERPRISE, 1400);
    struct flow_record record = small_flow();
    char name[100];

    (void)state;
    session = (struct session){0};
    record.reverse.delta_packets = 0;
    memset(name, 'a', sizeof(name));
    memcpy(name, "\x1b[2J\xff", 5);
    memcpy(name + 63, "\xc3\xa4", 2); /* its second byte would be the 65th */
    record.server.name = (struct record_text){name, sizeof(name)};
    assert_int_equal(add(writer, &session, &record), IPFIX_ADDED);
    finish(writer, &session);
    /* Texts of a TCP flow: application, Community ID, name of the server, ... */
    assert_string_equal(session.last_text[0], "tls");
    assert_int_equal(strlen(session.last_text[2]), 63);
    assert_memory_equal(session.last_text[2], "?[2J?aaa", 8);
    ipfix_writer_free(writer);
}

static void more_interfaces_than_are_told_have_number_0(void **state)
{
    static struct session session;
    struct ipfix_writer *writer = writer_of(false, 0, 1400);
    struct flow_record record = small_flow();

    (void)state;
    session = (struct session){0};
    for (int i = 0; i < 400; i++) {
        char name[16];
        const int length = snprintf(name, sizeof(name), "if%d", i);

        record.interface = (struct record_text){name, (uint32_t)length};
        assert_int_equal(add(writer, &session, &record), IPFIX_ADDED);
        finish(writer, &session);
    }
    assert_int_equal(session.interfaces, 256);
    assert_int_equal(session.flow_records, 800);
    ipfix_writer_free(writer);
}

static void sizes_of_messages_have_bounds(void **state)
{
    const uint32_t sizes[] = {0, 1023, 65536};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const struct ipfix_settings settings = {1, 0, sizes[i], false, index_of};
        struct error err = {0};

        assert_null(ipfix_writer_new(&settings, &err));
        assert_non_null(strstr(err.message, "1024 to 65535"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_any_records_arrive_in_messages_within_their_bound),
        cmocka_unit_test(a_new_session_and_a_repeat_tell_templates_before_records),
        cmocka_unit_test(a_message_that_never_left_takes_its_place_in_the_next_session),
        cmocka_unit_test(what_tells_no_packets_is_left_out),
        cmocka_unit_test(an_answer_to_a_ping_has_the_type_of_an_answer),
        cmocka_unit_test(names_from_the_wire_are_cut_between_characters_and_steer_nothing),
        cmocka_unit_test(more_interfaces_than_are_told_have_number_0),
        cmocka_unit_test(sizes_of_messages_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
