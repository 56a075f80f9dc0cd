/* dns.log (Zeek: base/protocols/dns). */
#include <stdio.h>

#include "base/clock.h"
#include "proto/zeek/zeek_private.h"

#define RCODE_NXDOMAIN 3

static const struct dns_transaction *dns_of(const void *record)
{
    return record;
}

static void put_time(struct zeek_line *line, const void *record)
{
    zeek_time(line, dns_of(record)->time_ns);
}

static void put_uid(struct zeek_line *line, const void *record)
{
    zeek_uid(line, dns_of(record)->flow_id);
}

static void put_client(struct zeek_line *line, const void *record)
{
    zeek_address(line, &dns_of(record)->client_ip);
}

static void put_server(struct zeek_line *line, const void *record)
{
    zeek_address(line, &dns_of(record)->server_ip);
}

static void put_client_port(struct zeek_line *line, const void *record)
{
    zeek_count(line, dns_of(record)->client_port);
}

static void put_server_port(struct zeek_line *line, const void *record)
{
    zeek_count(line, dns_of(record)->server_port);
}

static void put_protocol(struct zeek_line *line, const void *record)
{
    zeek_cell(line, dns_of(record)->ip_protocol == 6 ? "tcp" : "udp");
}

static void put_id(struct zeek_line *line, const void *record)
{
    zeek_count(line, dns_of(record)->id);
}

static void put_rtt(struct zeek_line *line, const void *record)
{
    if (dns_of(record)->has_latency) {
        zeek_time(line, dns_of(record)->latency_ns);
    } else {
        zeek_unset(line);
    }
}

/* "." is the root. */
static void put_query(struct zeek_line *line, const void *record)
{
    zeek_text(line, dns_of(record)->name);
}

static void put_class(struct zeek_line *line, const void *record)
{
    zeek_count(line, dns_of(record)->class);
}

static void put_class_name(struct zeek_line *line, const void *record)
{
    char text[16];

    switch (dns_of(record)->class) {
    case 1:
        zeek_cell(line, "C_INTERNET");
        break;
    case 3:
        zeek_cell(line, "C_CHAOS");
        break;
    case 4:
        zeek_cell(line, "C_HESIOD");
        break;
    case 255:
        zeek_cell(line, "C_ANY");
        break;
    default:
        (void)snprintf(text, sizeof(text), "qclass-%u", dns_of(record)->class);
        zeek_cell(line, text);
    }
}

static void put_type(struct zeek_line *line, const void *record)
{
    zeek_count(line, dns_of(record)->type);
}

static void put_type_name(struct zeek_line *line, const void *record)
{
    zeek_text(line, dns_of(record)->type_name);
}

static void put_rcode(struct zeek_line *line, const void *record)
{
    if (dns_of(record)->has_response) {
        zeek_count(line, dns_of(record)->rcode);
    } else {
        zeek_unset(line);
    }
}

static void put_rcode_name(struct zeek_line *line, const void *record)
{
    if (dns_of(record)->has_response) {
        zeek_text(line, dns_of(record)->rcode_name);
    } else {
        zeek_unset(line);
    }
}

static void put_aa(struct zeek_line *line, const void *record)
{
    zeek_bool(line, dns_of(record)->is_authoritative);
}

static void put_tc(struct zeek_line *line, const void *record)
{
    zeek_bool(line, dns_of(record)->is_truncated);
}

static void put_rd(struct zeek_line *line, const void *record)
{
    zeek_bool(line, dns_of(record)->is_recursion_desired);
}

static void put_ra(struct zeek_line *line, const void *record)
{
    zeek_bool(line, dns_of(record)->is_recursion_available);
}

static void put_answers(struct zeek_line *line, const void *record)
{
    const struct dns_transaction *dns = record;

    if (dns->answers_count == 0) {
        zeek_unset(line);
        return;
    }
    zeek_list_begin(line);
    for (unsigned i = 0; i < dns->answers_count; i++) {
        zeek_list_text(line, dns->answers[i].data, i == 0);
    }
    zeek_list_end(line);
}

static void put_ttls(struct zeek_line *line, const void *record)
{
    const struct dns_transaction *dns = record;

    if (dns->answers_count == 0) {
        zeek_unset(line);
        return;
    }
    zeek_list_begin(line);
    for (unsigned i = 0; i < dns->answers_count; i++) {
        zeek_list_time(line, dns->answers[i].ttl_seconds * NS_PER_SEC, i == 0);
    }
    zeek_list_end(line);
}

/* An error without an answer; that a name does not exist is an answer. */
static void put_rejected(struct zeek_line *line, const void *record)
{
    const struct dns_transaction *dns = record;

    zeek_bool(line, dns->has_response && dns->rcode != 0 && dns->rcode != RCODE_NXDOMAIN &&
                        dns->answers_count == 0);
}

static const struct zeek_column dns[] = {{"ts", "time", put_time},
                                         {"uid", "string", put_uid},
                                         {"id.orig_h", "addr", put_client},
                                         {"id.orig_p", "port", put_client_port},
                                         {"id.resp_h", "addr", put_server},
                                         {"id.resp_p", "port", put_server_port},
                                         {"proto", "enum", put_protocol},
                                         {"trans_id", "count", put_id},
                                         {"rtt", "interval", put_rtt},
                                         {"query", "string", put_query},
                                         {"qclass", "count", put_class},
                                         {"qclass_name", "string", put_class_name},
                                         {"qtype", "count", put_type},
                                         {"qtype_name", "string", put_type_name},
                                         {"rcode", "count", put_rcode},
                                         {"rcode_name", "string", put_rcode_name},
                                         {"AA", "bool", put_aa},
                                         {"TC", "bool", put_tc},
                                         {"RD", "bool", put_rd},
                                         {"RA", "bool", put_ra},
                                         {"answers", "vector[string]", put_answers},
                                         {"TTLs", "vector[interval]", put_ttls},
                                         {"rejected", "bool", put_rejected}};
const struct zeek_columns zeek_dns_columns = {dns, sizeof(dns) / sizeof(dns[0])};

size_t zeek_dns_line(const struct dns_transaction *transaction, enum zeek_form form,
                     char out[ZEEK_LINE_BYTES])
{
    return zeek_write(&zeek_dns_columns, transaction, form, out);
}
