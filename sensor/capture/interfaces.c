/* Which interfaces there are, and which one the default route uses. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
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

/* proc(5), /proc/net/route: destination and mask in hexadecimal, both 0 for the default route. */
static bool default_v4(char *name)
{
    char line[256];
    uint32_t best = UINT32_MAX;
    bool is_found = false;
    FILE *table = fopen("/proc/net/route", "re");
    if (table == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, table) != NULL) {
        char device[16];
        uint32_t target, flags, metric, mask;
        if (sscanf(line, "%15s %" SCNx32 " %*s %" SCNx32 " %*s %*s %" SCNu32 " %" SCNx32, device,
                   &target, &flags, &metric, &mask) == 5 &&
            target == 0 && mask == 0 && (flags & ROUTE_UP) != 0 && (flags & ROUTE_REJECT) == 0 &&
            (!is_found || metric < best)) {
            (void)strcpy(name, device);
            best = metric;
            is_found = true;
        }
    }
    (void)fclose(table);
    return is_found;
}

/* /proc/net/ipv6_route: target, its length, source, its length, next hop, metric, ..., flags, name.
 */
static bool default_v6(char *name)
{
    char line[256];
    uint32_t best = UINT32_MAX;
    bool is_found = false;
    FILE *table = fopen("/proc/net/ipv6_route", "re");
    if (table == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, table) != NULL) {
        char device[16], target[33];
        uint32_t length, metric, flags;
        if (sscanf(line, "%32s %" SCNx32 " %*s %*s %*s %" SCNx32 " %*s %*s %" SCNx32 " %15s",
                   target, &length, &metric, &flags, device) == 5 &&
            length == 0 && strspn(target, "0") == 32 && (flags & ROUTE_UP) != 0 &&
            (flags & ROUTE_REJECT) == 0 && strcmp(device, "lo") != 0 &&
            (!is_found || metric < best)) {
            (void)strcpy(name, device);
            best = metric;
            is_found = true;
        }
    }
    (void)fclose(table);
    return is_found;
}

int capture_default_interface(char *name, struct error *err)
{
    if (default_v4(name) || default_v6(name)) {
        return 0;
    }
    return error_set(err, ENODEV,
                     "no interface is named and there is no default route: name one (-i)");
}
