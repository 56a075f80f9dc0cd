/* Protocol tree of SSH before encryption. */
#include "sensor/wire/ssh.h"
#include "sensor/wire/tree_writer.h"

static const char *const list_names[SSH_LIST_COUNT] = {
    "kex_algorithms",         "host_key_algorithms",    "ciphers_to_server",
    "ciphers_to_client",      "macs_to_server",         "macs_to_client",
    "compressions_to_server", "compressions_to_client", "languages_to_server",
    "languages_to_client"};

static bool tree_kexinit(struct tree_writer *writer, const struct wire_span *bytes)
{
    struct wire_span payload;
    struct ssh_kexinit kexinit;
    uint32_t used;

    if (ssh_packet(bytes, &payload, &used) != WIRE_OK ||
        ssh_kexinit_parse(&payload, &kexinit) != WIRE_OK) {
        return false;
    }
    tree_layer(writer, "SSH KEXINIT", bytes->bytes, used);
    tree_field(writer, "packet_bytes", bytes->bytes, 4, "%u", used - 4);
    tree_field(writer, "padding_bytes", bytes->bytes + 4, 1, "%u", bytes->bytes[4]);
    for (unsigned i = 0; i < SSH_LIST_COUNT; i++) {
        tree_escaped(writer, list_names[i], &kexinit.lists[i]);
    }
    tree_field(writer, "first_kex_follows", NULL, 0, "%s",
               kexinit.first_kex_follows ? "yes" : "no");
    return true;
}

bool tree_ssh(struct tree_writer *writer, const struct wire_span *payload)
{
    struct wire_span line;
    uint32_t used = 0;

    if (ssh_line(payload, &line, &used) != WIRE_OK) {
        return tree_kexinit(writer, payload);
    }
    tree_layer(writer, "SSH", payload->bytes, used);
    tree_escaped(writer, "identification", &line);
    const struct wire_span rest = {.bytes = payload->bytes + used,
                                   .length = payload->length - used};
    if (rest.length > 0) {
        (void)tree_kexinit(writer, &rest);
    }
    return true;
}
