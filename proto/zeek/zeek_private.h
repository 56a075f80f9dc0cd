/* Columns and values of proto/zeek, for its own files. */
#pragma once

#include <string.h>

#include "base/json_writer.h"
#include "proto/zeek/zeek.h"

/* Where the next value of a line goes, in either form. */
struct zeek_line {
    enum zeek_form form;
    const char *name; /* of the column */
    bool is_first;
    struct json_writer json; /* of TSV, too, as bounded room */
};

struct zeek_column {
    const char *name, *type; /* "id.orig_h", "addr" */
    void (*put)(struct zeek_line *line, const void *record);
};

struct zeek_columns {
    const struct zeek_column *at;
    unsigned count;
};

extern const struct zeek_columns zeek_conn_columns, zeek_dns_columns, zeek_ssl_columns,
    zeek_ssh_columns, zeek_notice_columns;

/* One of these for each column. */
void zeek_unset(struct zeek_line *line);                         /* "-", or no member */
void zeek_text(struct zeek_line *line, struct record_text text); /* empty: unset */
void zeek_cell(struct zeek_line *line, const char *text);
void zeek_count(struct zeek_line *line, uint64_t value);
void zeek_bool(struct zeek_line *line, bool value);
void zeek_time(struct zeek_line *line, uint64_t ns); /* seconds with six digits: time, interval */
void zeek_address(struct zeek_line *line, const struct ip_address *address);
void zeek_mac(struct zeek_line *line, const struct flow_endpoint *end);
/* "C" and eleven letters and digits: the same for all lines of a flow. */
void zeek_uid(struct zeek_line *line, uint64_t flow_id);
/* A set or vector: begin, each of its members, end; none: unset. */
void zeek_list_begin(struct zeek_line *line);
void zeek_list_text(struct zeek_line *line, struct record_text text, bool is_first);
void zeek_list_time(struct zeek_line *line, uint64_t ns, bool is_first);
void zeek_list_end(struct zeek_line *line);

/* Of a flow record: when, which and between whom. ICMP has types in the place of ports. */
void zeek_flow_time(struct zeek_line *line, const void *record);
void zeek_flow_uid(struct zeek_line *line, const void *record);
void zeek_flow_client(struct zeek_line *line, const void *record);
void zeek_flow_client_port(struct zeek_line *line, const void *record);
void zeek_flow_server(struct zeek_line *line, const void *record);
void zeek_flow_server_port(struct zeek_line *line, const void *record);
#define ZEEK_FLOW                                                                                  \
    {"ts", "time", zeek_flow_time}, {"uid", "string", zeek_flow_uid},                              \
        {"id.orig_h", "addr", zeek_flow_client}, {"id.orig_p", "port", zeek_flow_client_port},     \
        {"id.resp_h", "addr", zeek_flow_server},                                                   \
    {                                                                                              \
        "id.resp_p", "port", zeek_flow_server_port                                                 \
    }

size_t zeek_write(const struct zeek_columns *columns, const void *record, enum zeek_form form,
                  char out[ZEEK_LINE_BYTES]);
