/* Any bytes as what DESCRIBE TABLE answers, and as a row for a table with columns of all kinds:
 * both are read within their bounds, and a row takes no more than the room that was told. */
#include <stdlib.h>
#include <string.h>

#include "proto/row/row_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char columns[] =
    "sensor_id\tLowCardinality(String)\t\nboot_id\tString\t\nrecord_seq\tUInt64\t\n"
    "end_time\tDateTime64(9)\t\nstart_time\tDateTime\t\nflow_id\tUInt64\t\n"
    "event\tString\t\nclient_scope\tUInt8\t\nclient_ip\tIPv6\t\nserver_ip\tString\t\n"
    "client_port\tUInt16\t\nvlan_id\tNullable(UInt16)\t\ntunnel_type\tArray(String)\t\n"
    "tunnel_id\tArray(UInt64)\t\ntunnel_outer_src\tArray(IPv6)\t\ntls_alpn\tArray(String)\t\n"
    "dns_queries_rcode\tArray(Int16)\t\nflags\tArray(UInt8)\t\ntls_ech_offered\tBool\t\n"
    "tls_cert_not_before\tDateTime64(3)\t\nrecord\tString\t\n";

static void write_row(struct row_table *table, const uint8_t *data, size_t size)
{
    const struct row_source source = {data, size, data, size};
    const size_t room = row_table_bytes_max(table, &source);
    uint8_t *exact = malloc(room); /* a byte too far is seen */

    if (exact != NULL && row_table_write(table, &source, exact, room) > room) {
        abort();
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct row_table *table;
    struct error err = {0};

    if (table == NULL) {
        table = row_table_new(columns, sizeof(columns) - 1, &err);
    }
    if (table == NULL) {
        abort();
    }
    write_row(table, data, size);
    struct row_table *own = row_table_new((const char *)data, size, &err);

    if (own != NULL && strlen(row_table_columns(own)) == 0) {
        abort();
    }
    row_table_free(own);
    return 0;
}
