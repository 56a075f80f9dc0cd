/* Which interfaces there are, and which one the default route uses. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sensor/capture/capture.h"

#define ROUTE_UP      0x0001U
#define ROUTE_REJECT  0x0200U
#define ADDRESS_BYTES 64

static bool address_text(const struct sockaddr *address, char *out)
{
    if (address == NULL) {
        return false;
    }
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return inet_ntop(AF_INET, &v4.sin_addr, out, ADDRESS_BYTES) != NULL;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return inet_ntop(AF_INET6, &v6.sin6_addr, out, ADDRESS_BYTES) != NULL;
    }
    return false;
}

static void addresses_text(const pcap_addr_t *list, char *out, size_t out_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (const pcap_addr_t *entry = list; entry != NULL; entry = entry->next) {
        char text[ADDRESS_BYTES];
        if (!address_text(entry->addr, text)) {
            continue;
        }
        const size_t needed = strlen(text) + (used == 0 ? 0 : 2);
        if (needed >= out_bytes - used) {
            return; /* hundreds of addresses: the first are enough to recognise it */
        }
        (void)snprintf(out + used, out_bytes - used, "%s%s", used == 0 ? "" : ", ", text);
        used += needed;
    }
}

int capture_list_interfaces(void (*found)(void *context, const struct capture_interface *interface),
                            void *context, struct error *err)
{
    char message[PCAP_ERRBUF_SIZE] = "";
    pcap_if_t *list = NULL;
    if (pcap_findalldevs(&list, message) != 0) {
        return error_set(err, EIO, "list the interfaces: %s", message);
    }

    int count = 0;
    for (const pcap_if_t *entry = list; entry != NULL; entry = entry->next) {
        char addresses[2048];
        addresses_text(entry->addresses, addresses, sizeof addresses);
        const struct capture_interface interface = {
            .name = entry->name,
            .description = entry->description == NULL ? "" : entry->description,
            .addresses = addresses,
            .is_up = (entry->flags & PCAP_IF_UP) != 0,
            .is_running = (entry->flags & PCAP_IF_RUNNING) != 0,
            .is_loopback = (entry->flags & PCAP_IF_LOOPBACK) != 0,
            .is_wireless = (entry->flags & PCAP_IF_WIRELESS) != 0,
        };
        found(context, &interface);
        count++;
    }
    pcap_freealldevs(list);
    return count;
}

#define FIELDS_MAX 12

/* Cuts a line of a /proc table at its blanks; returns the number of fields. */
static uint32_t fields_of(char *line, const char *fields[FIELDS_MAX])
{
    uint32_t count = 0;
    char *rest = NULL;
    for (char *field = strtok_r(line, " \t\n", &rest); field != NULL && count < FIELDS_MAX;
         field = strtok_r(NULL, " \t\n", &rest)) {
        fields[count++] = field;
    }
    return count;
}

static uint32_t number_of(const char *text, int base)
{
    return (uint32_t)strtoul(text, NULL, base); /* the kernel's own writing */
}

/* One of the two routing tables of proc(5); which fields hold what. */
struct route_table {
    const char *path;
    uint32_t fields_min;
    uint32_t device, target, length, metric, flags;
    int metric_base;
};

/* Mask 00000000 or prefix length 00: the default route, if the target is 0 too. */
static const struct route_table tables[] = {
    {"/proc/net/route", 8, 0, 1, 7, 6, 3, 10},
    {"/proc/net/ipv6_route", 10, 9, 0, 1, 5, 8, 16},
};

/* The default route of the lowest metric; false when there is none. */
static bool default_of(const struct route_table *table, char *name)
{
    char line[256];
    uint32_t best = 0;
    bool is_found = false;
    FILE *in = fopen(table->path, "re");
    if (in == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, in) != NULL) {
        const char *fields[FIELDS_MAX];
        if (fields_of(line, fields) < table->fields_min ||
            strspn(fields[table->target], "0") != strlen(fields[table->target]) ||
            strspn(fields[table->length], "0") != strlen(fields[table->length])) {
            continue;
        }
        const uint32_t flags = number_of(fields[table->flags], 16);
        const uint32_t metric = number_of(fields[table->metric], table->metric_base);
        if ((flags & ROUTE_UP) != 0 && (flags & ROUTE_REJECT) == 0 &&
            strcmp(fields[table->device], "lo") != 0 && (!is_found || metric < best)) {
            (void)snprintf(name, IFNAMSIZ, "%s", fields[table->device]);
            best = metric;
            is_found = true;
        }
    }
    (void)fclose(in);
    return is_found;
}

int capture_default_interface(char *name, struct error *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        if (default_of(&tables[i], name)) {
            return 0;
        }
    }
    return error_set(err, ENODEV,
                     "no interface is named and there is no default route: name one (-i)");
}
