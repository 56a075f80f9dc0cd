/* The tree that a filter is. Private to proto/filter. Depends on: base, record.h. Built by one
 * thread, constant afterwards. */
#pragma once

#include "base/address.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "proto/filter/filter.h"

#define FILTER_TEXT_MAX  4096
#define FILTER_TERMS_MAX 256
#define FILTER_DEPTH_MAX 32

/* Rows of filter_fields[], in its order; FIELD_ANY is a bare word. */
enum filter_field_id {
    FIELD_IP,
    FIELD_CLIENT_IP,
    FIELD_SERVER_IP,
    FIELD_PORT,
    FIELD_CLIENT_PORT,
    FIELD_SERVER_PORT,
    FIELD_PROTOCOL,
    FIELD_IP_VERSION,
    FIELD_APP,
    FIELD_NAME,
    FIELD_CLIENT_NAME,
    FIELD_SERVER_NAME,
    FIELD_TLS_SNI,
    FIELD_TLS_VERSION,
    FIELD_HTTP_HOST,
    FIELD_DNS_NAME,
    FIELD_COMMUNITY_ID,
    FIELD_FLOW_ID,
    FIELD_SENSOR,
    FIELD_INTERFACE,
    FIELD_VLAN,
    FIELD_BYTES,
    FIELD_PACKETS,
    FIELD_TOTAL_BYTES,
    FIELD_TOTAL_PACKETS,
    FIELD_DURATION,
    FIELD_RTT,
    FIELD_TCP_STATE,
    FIELD_TCP_CONN_STATE,
    FIELD_TCP_RETRANSMITS,
    FIELD_TCP_OUT_OF_ORDER,
    FIELD_EVENT,
    FIELD_END_REASON,
    FIELD_SCOPE,
    FIELD_ALERT_ID,
    FIELD_RISK_SCORE,
    FIELD_TLS_ALPN,
    FIELD_TLS_JA3,
    FIELD_TLS_JA4,
    FIELD_TLS_CERT_SHA256,
    FIELD_HTTP_METHOD,
    FIELD_HTTP_PATH,
    FIELD_HTTP_STATUS,
    FIELD_HTTP_USER_AGENT,
    FIELD_DNS_RCODE,
    FIELD_SSH_HASSH,
    FIELD_ICMP_TYPE,
    FIELD_MAC,
    FIELD_CLIENT_MAC,
    FIELD_SERVER_MAC,
    FIELD_DSCP,
    FIELD_TUNNEL_TYPE,
    FIELD_TUNNEL_ID,
    FIELD_MISSED_BYTES,
    FIELD_FLAG,
    FIELD_LABEL, /* these three with a key behind them */
    FIELD_CLIENT_LABEL,
    FIELD_SERVER_LABEL,
    FIELD_COUNT,
    FIELD_ANY = FIELD_COUNT
};

enum filter_kind {
    KIND_ADDRESS,
    KIND_NUMBER,
    KIND_BYTES,
    KIND_DURATION,
    KIND_CHOICE,
    KIND_PROTOCOL,
    KIND_FLOW_ID,
    KIND_TEXT
};

enum filter_operator {
    OPERATOR_EQUAL,
    OPERATOR_NOT_EQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_HAS
};

enum filter_node_type { NODE_AND, NODE_OR, NODE_NOT, NODE_TERM };

struct filter_node {
    enum filter_node_type type;
    const struct filter_node *left, *right; /* NOT: left alone */
    /* NODE_TERM */
    enum filter_field_id field;
    enum filter_kind kind;
    enum filter_operator compare; /* never NOT_EQUAL: that is NOT of EQUAL */
    struct ip_prefix prefix;      /* KIND_ADDRESS */
    uint8_t last_address[16];     /* the largest address of the prefix */
    uint64_t number;              /* all kinds of numbers */
    const char *text;             /* as written; for KIND_TEXT what is compared */
    uint32_t text_length;
    const char *like; /* KIND_TEXT with ':' or '*': the pattern of SQL, '\\' escapes */
    bool is_address;  /* FIELD_ANY: the word is an address or prefix */
    char label[FLOW_LABEL_KEY_BYTES + 1]; /* its key; of FIELD_LABEL and those behind it */
};

struct filter {
    struct arena *memory;
    const struct filter_node *root; /* NULL: all */
    uint32_t terms;
};

enum filter_kind filter_field_kind(enum filter_field_id field);
/* The lower-case name of a choice, of which the first is 1; NULL when there is no such value. */
const char *filter_choice_name(enum filter_field_id field, unsigned value);
/* The choice of FIELD_DNS_RCODE; 0: a code without a name. */
unsigned filter_rcode_choice(unsigned rcode);
/* FIELD_COUNT: no such field. `label`: the key, of a field that has one; else empty. */
enum filter_field_id filter_field_find(const char *name, size_t length,
                                       char label[FLOW_LABEL_KEY_BYTES + 1]);
/* The nearest name to a mistyped one, or NULL. */
const char *filter_field_near(const char *name, size_t length);

/* Building. NULL with `err` set: too many terms, or the value does not fit the field. `text` is
 * copied. */
struct filter_node *filter_add_term(struct filter *filter, enum filter_field_id field,
                                    enum filter_operator compare, const char *text, size_t length,
                                    struct error *err);
/* A NULL side gives the other one. */
const struct filter_node *filter_join(struct filter *filter, enum filter_node_type type,
                                      const struct filter_node *left,
                                      const struct filter_node *right);
const struct filter_node *filter_negate(struct filter *filter, const struct filter_node *node);
struct filter *filter_new(size_t text_bytes, struct error *err);

/* Parses `text` into `filter`. False with `err` and *position set. */
MUST_USE bool filter_parse(struct filter *filter, const char *text, size_t length,
                           const struct filter_node **root, struct error *err, uint32_t *position);

/* Does the text match the value: all of it, or with '*' its form; `contains`: part of it will do.
 */
bool filter_text_matches(struct record_text text, const struct filter_node *term, bool contains);
