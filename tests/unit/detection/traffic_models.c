#include "tests/unit/detection/traffic_models.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/hash.h"

#define TCP     6
#define UDP     17
#define ICMP    1
#define HOUR_MS UINT64_C(3600000)

/* Three networks: ours, others', and one that nobody else in a scene uses. */
static uint32_t inside(const struct traffic_place *place, uint32_t number)
{
    return 0x0a640000 + place->hosts * 0x100 + number;
}

static uint32_t outside(const struct traffic_place *place, uint32_t number)
{
    return 0xcb000000 + place->hosts * 0x10000 + number;
}

static struct detection_fact fact_at(const struct traffic_place *place, enum detection_event event,
                                     uint32_t source, uint32_t target, uint16_t port,
                                     uint64_t after_ms)
{
    return (struct detection_fact){.event = (uint8_t)event,
                                   .protocol = TCP,
                                   .source = scene_ip(source),
                                   .source_port = (uint16_t)(20000 + after_ms % 30011),
                                   .target = scene_ip(target),
                                   .target_port = port,
                                   .first_ns = scene_ns(place->at_ms + after_ms),
                                   .time_ns = scene_ns(place->at_ms + after_ms)};
}

/* ---- port_scan ---- */

static void scan_ports(const struct traffic_place *place, uint16_t ports)
{
    for (uint16_t i = 0; i < ports; i++) {
        scene_syn(inside(place, 1), inside(place, 2), (uint16_t)(1 + i),
                  place->at_ms + i * UINT64_C(100));
    }
}

static void scan_attack(const struct traffic_place *place)
{
    scan_ports(place, 25);
}

static void scan_below(const struct traffic_place *place)
{
    scan_ports(place, 24);
}

static void scan_look_alike(const struct traffic_place *place)
{
    (void)place;
    scene_cdn_fan_out(30);
}

/* ---- syn_flood ---- */

static void flood_of_syn(const struct traffic_place *place, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        scene_syn(outside(place, i % 100), inside(place, 3), 80, place->at_ms + i * UINT64_C(10));
    }
}

static void syn_attack(const struct traffic_place *place)
{
    flood_of_syn(place, 200);
}

static void syn_below(const struct traffic_place *place)
{
    flood_of_syn(place, 199);
}

/* A flash crowd at a server: as many SYN, and connections. */
static void syn_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 2000; i++) {
        scene_connect(&(struct scene_connection){.client = outside(place, i),
                                                 .server = inside(place, 3),
                                                 .port = 443,
                                                 .at_ms = place->at_ms + i * UINT64_C(2),
                                                 .lasts_ms = 900,
                                                 .up = 800,
                                                 .down = 30000,
                                                 .is_server_internal = true});
    }
}

/* ---- host_sweep ---- */

static void sweep(const struct traffic_place *place, uint32_t hosts)
{
    for (uint32_t i = 0; i < hosts; i++) {
        scene_ping(inside(place, 4), inside(place, 10 + i), place->at_ms + i * UINT64_C(100),
                   i % 3 == 0);
    }
}

static void sweep_attack(const struct traffic_place *place)
{
    sweep(place, 15);
}

static void sweep_below(const struct traffic_place *place)
{
    sweep(place, 14);
}

static void sweep_look_alike(const struct traffic_place *place)
{
    (void)place;
    scene_monitoring(60);
}

/* ---- udp_flood, icmp_flood ---- */

/* `rate` packets a second for some seconds from 50 sources, answered as told. */
static void flood_of_packets(const struct traffic_place *place, uint8_t protocol, uint64_t rate,
                             uint64_t answers)
{
    for (uint64_t second = 0; second < 12; second++) {
        for (uint32_t i = 0; i < 50; i++) {
            struct detection_fact fact =
                fact_at(place, DETECTION_VOLUME, outside(place, i), inside(place, 5),
                        protocol == UDP ? 9999 : 0, second * 1000 + UINT64_C(10) * i);

            fact.protocol = protocol;
            fact.source_port = protocol == UDP ? 4000 : 0;
            fact.packets[0] = rate / 50;
            fact.packets[1] = answers / 50;
            fact.bytes[0] = fact.packets[0] * 100;
            fact.bytes[1] = fact.packets[1] * 100;
            scene_add(&fact);
        }
    }
}

static void udp_attack(const struct traffic_place *place)
{
    flood_of_packets(place, UDP, 20000, 0);
}

static void udp_below(const struct traffic_place *place)
{
    flood_of_packets(place, UDP, 19950, 0);
}

/* A download over QUIC: more packets, and acknowledgements for them. */
static void udp_look_alike(const struct traffic_place *place)
{
    for (uint64_t second = 0; second < 12; second++) {
        scene_udp(inside(place, 5), 50000, outside(place, 1), 443, place->at_ms + second * 1000,
                  9000, 90000, 1300);
    }
}

static void icmp_attack(const struct traffic_place *place)
{
    flood_of_packets(place, ICMP, 2000, 2000);
}

static void icmp_below(const struct traffic_place *place)
{
    flood_of_packets(place, ICMP, 1950, 1950);
}

static void icmp_look_alike(const struct traffic_place *place)
{
    (void)place;
    scene_monitoring(60);
}

/* ---- amplification ---- */

/* `rate` bytes a second of answers of 40 reflectors for `asked` bytes a second. */
static void reflect(const struct traffic_place *place, uint64_t rate, uint64_t asked)
{
    for (uint64_t second = 0; second < 20; second++) {
        for (uint32_t i = 0; i < 40; i++) {
            struct detection_fact fact =
                fact_at(place, DETECTION_VOLUME, inside(place, 6), outside(place, 0x4000 + i),
                        i % 2 == 0 ? 53 : 123, second * 1000 + i);

            fact.protocol = UDP;
            fact.source_port = 80;
            fact.packets[0] = asked > 0;
            fact.packets[1] = rate / 40 / 1400 + 1;
            fact.bytes[0] = asked / 40;
            fact.bytes[1] = rate / 40;
            scene_add(&fact);
        }
    }
}

static void reflect_attack(const struct traffic_place *place)
{
    reflect(place, 625000, 0); /* 5 Mbit/s */
}

static void reflect_below(const struct traffic_place *place)
{
    reflect(place, 624000, 0);
}

/* A resolver gets more, and asked for it. */
static void reflect_look_alike(const struct traffic_place *place)
{
    reflect(place, 2000000, 260000);
}

/* ---- fragment_flood ---- */

static void fragments(const struct traffic_place *place, uint64_t count, uint32_t sources)
{
    for (uint64_t i = 0; i < count; i++) {
        struct detection_fact fact =
            fact_at(place, DETECTION_FRAGMENT, outside(place, (uint32_t)i % sources),
                    inside(place, 7), 0, i * 8000 / count);

        fact.protocol = UDP;
        fact.packets[0] = 1;
        fact.bytes[0] = 1500;
        scene_add(&fact);
    }
}

static void fragment_attack(const struct traffic_place *place)
{
    fragments(place, 2000, 100);
}

static void fragment_below(const struct traffic_place *place)
{
    fragments(place, 1999, 100);
}

/* A backup over NFS and UDP: one server, full fragments. */
static void fragment_look_alike(const struct traffic_place *place)
{
    fragments(place, 20000, 1);
}

/* ---- dns_tunnel, dns_nxdomain ---- */

static void random_label(uint64_t dice, unsigned length, char out[64])
{
    for (unsigned i = 0; i < length; i++) {
        dice = hash_mix(dice + i);
        out[i] = "abcdefghijkmnpqrstuvwxyz0123456789"[dice % 34];
    }
    out[length] = '\0';
}

static void tunnel(const struct traffic_place *place, uint32_t names)
{
    for (uint32_t i = 0; i < names; i++) {
        char label[64], name[160];

        random_label(i + 7, 40, label);
        (void)snprintf(name, sizeof(name), "%s.t%u.example.com", label, place->hosts);
        scene_dns(inside(place, 8), inside(place, 53), name, 16, 0,
                  place->at_ms + i * UINT64_C(200), 60, 200);
    }
}

static void tunnel_attack(const struct traffic_place *place)
{
    tunnel(place, 100);
}

static void tunnel_below(const struct traffic_place *place)
{
    tunnel(place, 99);
}

/* The hosts of a content network: as many, short and alike. */
static void tunnel_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 900; i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "img%u.static.example.net", i);
        scene_dns(inside(place, 8), inside(place, 53), name, 1, 0, place->at_ms + i * UINT64_C(60),
                  40, 120);
    }
}

static void missing_names(const struct traffic_place *place, uint32_t names)
{
    for (uint32_t i = 0; i < names; i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "printer%u.office.example.com", i);
        scene_dns(inside(place, 9), inside(place, 53), name, 1, 3, place->at_ms + i * UINT64_C(900),
                  40, 120);
    }
}

static void nxdomain_attack(const struct traffic_place *place)
{
    missing_names(place, 20);
}

static void nxdomain_below(const struct traffic_place *place)
{
    missing_names(place, 19);
}

static void nxdomain_look_alike(const struct traffic_place *place)
{
    (void)place;
    scene_resolver(60);
}

/* ---- beacon ---- */

static void call_home(const struct traffic_place *place, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        const struct detection_fact fact =
            fact_at(place, DETECTION_SYN, inside(place, 10), outside(place, 77), 443,
                    i * UINT64_C(60000) + hash_mix(i) % 2000);

        scene_add(&fact);
    }
}

static void beacon_attack(const struct traffic_place *place)
{
    call_home(place, 24);
}

static void beacon_below(const struct traffic_place *place)
{
    call_home(place, 23);
}

/* A person: bursts of pages, then a while of reading. */
static void beacon_look_alike(const struct traffic_place *place)
{
    uint64_t at_ms = 0;

    for (uint32_t i = 0; i < 60; i++) {
        const uint64_t dice = hash_mix(i * 31 + 5);

        at_ms += i % 6 == 0 ? 60000 + dice % 400000 : 500 + dice % 20000;
        const struct detection_fact fact =
            fact_at(place, DETECTION_SYN, inside(place, 10), outside(place, 77), 443, at_ms);

        scene_add(&fact);
    }
}

/* ---- brute_force ---- */

/* A log-in that lasts a moment, the client having said `bytes`. */
static void log_in(const struct traffic_place *place, uint32_t source, uint64_t bytes,
                   uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_CLOSE, source, inside(place, 22), 22, after_ms);

    fact.first_ns -= 2 * NS_PER_SEC;
    fact.service = DETECTION_SERVICE_SSH;
    fact.is_answered = true;
    fact.payload_bytes[0] = fact.payload_bytes[1] = bytes;
    fact.packets[0] = fact.packets[1] = 10;
    scene_add(&fact);
}

static void guess(const struct traffic_place *place, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        log_in(place, outside(place, 9), 1744, 3000 + i * 1000);
    }
}

static void brute_attack(const struct traffic_place *place)
{
    guess(place, 30);
}

static void brute_below(const struct traffic_place *place)
{
    guess(place, 29);
}

/* Monitoring reads the banner and leaves. */
static void brute_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 200; i++) {
        log_in(place, inside(place, 250), 30, 3000 + i * 500);
    }
}

/* ---- data_exfil ---- */

static void upload(const struct traffic_place *place, uint32_t megabytes, uint32_t clients)
{
    for (uint32_t i = 0; i < megabytes; i++) {
        struct detection_fact fact =
            fact_at(place, DETECTION_VOLUME, inside(place, 11 + i % clients), outside(place, 80),
                    443, i * UINT64_C(1000));

        fact.source_port = 50001;
        fact.is_source_internal = true;
        fact.bytes[0] = 1000000;
        fact.bytes[1] = 20000;
        fact.packets[0] = 700;
        fact.packets[1] = 350;
        scene_add(&fact);
    }
}

static void exfil_attack(const struct traffic_place *place)
{
    upload(place, 100, 1);
}

static void exfil_below(const struct traffic_place *place)
{
    upload(place, 99, 1);
}

/* A backup in a cloud: each of four hosts sends as much. */
static void exfil_look_alike(const struct traffic_place *place)
{
    upload(place, 480, 4);
}

/* ---- long_connection ---- */

static void talk(const struct traffic_place *place, uint64_t age_ms, uint64_t step_ms,
                 uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds; i++) {
        struct detection_fact fact = fact_at(place, DETECTION_VOLUME, inside(place, 15),
                                             outside(place, 81), 4444, i * UINT64_C(1000));

        fact.source_port = 50002;
        fact.first_ns = fact.time_ns - (age_ms + i * step_ms) * NS_PER_MS;
        fact.packets[0] = fact.packets[1] = 1;
        fact.bytes[0] = fact.bytes[1] = 100;
        scene_add(&fact);
    }
}

static void long_attack(const struct traffic_place *place)
{
    talk(place, 4 * HOUR_MS, 1000, 5);
}

static void long_below(const struct traffic_place *place)
{
    talk(place, 4 * HOUR_MS - 6000, 1000, 5);
}

/* A poll that begins anew each time. */
static void long_look_alike(const struct traffic_place *place)
{
    talk(place, 500, 0, 300);
}

/* ---- new_host, rogue_server ---- */

static void serve(const struct traffic_place *place, uint32_t client, bool is_answered,
                  uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_END, inside(place, client), inside(place, 17), 443, after_ms);

    fact.is_source_internal = fact.is_target_internal = true;
    fact.packets[0] = 5;
    fact.packets[1] = is_answered ? 4 : 0;
    scene_add(&fact);
}

static void host_attack(const struct traffic_place *place)
{
    serve(place, 16, true, 0);
    serve(place, 18, true, MODEL_LEARNING_MS);
}

/* In the last second of the learning period. */
static void host_below(const struct traffic_place *place)
{
    serve(place, 16, true, 0);
    serve(place, 18, true, MODEL_LEARNING_MS - 1000);
    serve(place, 18, true, MODEL_LEARNING_MS + 5000);
}

/* An address that somebody made up gets no answer. */
static void host_look_alike(const struct traffic_place *place)
{
    serve(place, 16, true, 0);
    for (uint32_t i = 0; i < 50; i++) {
        serve(place, 100 + i, false, MODEL_LEARNING_MS + i * 100);
    }
}

static void offer(const struct traffic_place *place, uint32_t server, uint32_t type,
                  uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_DHCP, inside(place, server), inside(place, 200), 68, after_ms);

    fact.protocol = UDP;
    fact.source_port = 67;
    fact.code = type;
    fact.mac[0] = 2;
    fact.mac[5] = (uint8_t)server;
    scene_add(&fact);
}

static void server_attack(const struct traffic_place *place)
{
    offer(place, 1, 2, 0);
    offer(place, 66, 2, MODEL_LEARNING_MS);
}

static void server_below(const struct traffic_place *place)
{
    offer(place, 1, 2, 0);
    offer(place, 66, 2, MODEL_LEARNING_MS - 1000);
    offer(place, 66, 2, MODEL_LEARNING_MS + 5000);
}

/* Clients that ask, and a pair of servers that answers all day. */
static void server_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 30; i++) {
        offer(place, 1 + i % 2, i % 3 == 0 ? 5 : 2, i * UINT64_C(10000));
        offer(place, 100 + i, 1, i * UINT64_C(10000) + 10); /* DISCOVER */
    }
}

/* ---- arp_spoof ---- */

static void claim(const struct traffic_place *place, uint8_t mac, uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_ARP, inside(place, 1), inside(place, 50), 0, after_ms);

    fact.protocol = 0;
    fact.source_port = 0;
    fact.type = 4;
    fact.is_answered = true;
    fact.mac[0] = 2;
    fact.mac[5] = mac;
    scene_add(&fact);
}

static void claims(const struct traffic_place *place, uint32_t each)
{
    for (uint32_t i = 0; i < each; i++) {
        claim(place, 0xaa, i * UINT64_C(10000));
        claim(place, 0xbb, i * UINT64_C(10000) + 2000);
    }
}

static void arp_attack(const struct traffic_place *place)
{
    claims(place, 3);
}

static void arp_below(const struct traffic_place *place)
{
    claims(place, 2);
}

/* A cluster fails over. */
static void arp_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 20; i++) {
        claim(place, i < 10 ? 0xaa : 0xbb, i * UINT64_C(5000));
    }
}

/* ---- weak_crypto ---- */

static void hand_shake(const struct traffic_place *place, uint32_t version, uint16_t cipher,
                       uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_TLS, outside(place, 5), inside(place, 19), 443, after_ms);

    fact.code = version;
    fact.type = cipher;
    scene_add(&fact);
}

static void crypto_attack(const struct traffic_place *place)
{
    hand_shake(place, 0x0302, 0xc02f, 0); /* TLS 1.1 */
}

static void crypto_below(const struct traffic_place *place)
{
    hand_shake(place, 0x0303, 0x002f, 0); /* TLS 1.2 with the oldest suite that is not broken */
}

/* A gateway to many servers. */
static void crypto_look_alike(const struct traffic_place *place)
{
    static const uint16_t suites[] = {0x1301, 0x1302, 0xc02f, 0xcca8, 0x009c};

    for (uint32_t i = 0; i < 300; i++) {
        hand_shake(place, i % 2 == 0 ? 0x0304 : 0x0303, suites[i % 5], i * UINT64_C(50));
    }
}

/* ---- tcp_health ---- */

static void service_end(const struct traffic_place *place, uint64_t segments, uint64_t again,
                        uint32_t connections)
{
    for (uint32_t i = 0; i < connections; i++) {
        struct detection_fact fact = fact_at(place, DETECTION_END, outside(place, i),
                                             inside(place, 20), 443, i * UINT64_C(1000));

        fact.packets[0] = fact.packets[1] = segments / 2;
        fact.payload_bytes[0] = fact.payload_bytes[1] = segments * 500;
        fact.segments = segments;
        fact.retransmitted = again;
        scene_add(&fact);
    }
}

static void health_attack(const struct traffic_place *place)
{
    service_end(place, 100, 5, 20);
}

static void health_below(const struct traffic_place *place)
{
    service_end(place, 1000, 49, 20);
}

/* One bad connection of a backup does not make a bad service. */
static void health_look_alike(const struct traffic_place *place)
{
    service_end(place, 900, 400, 1);
}

/* ---- sensor_loss ---- */

static void lose(const struct traffic_place *place, uint64_t packets, uint64_t lost)
{
    for (uint32_t i = 0; i < 30; i++) {
        const struct detection_fact fact = fact_at(place, DETECTION_SYN_ACK, inside(place, 21),
                                                   inside(place, 23), 80, i * UINT64_C(1000));

        scene_add(&fact); /* a second is decided where something happens */
        scene_loss(place->at_ms + i * UINT64_C(1000), packets, i % 10 == 0 ? lost : 0);
    }
}

static void loss_attack(const struct traffic_place *place)
{
    lose(place, 10000 - 10, 100);
}

static void loss_below(const struct traffic_place *place)
{
    lose(place, 10000, 9);
}

/* An idle link with a burst that did not fit: too few packets to tell anything. */
static void loss_look_alike(const struct traffic_place *place)
{
    lose(place, 10, 100);
}

/* ---- unidirectional ---- */

static void one_way(const struct traffic_place *place, uint32_t percent, uint64_t payload,
                    uint32_t connections)
{
    for (uint32_t i = 0; i < connections; i++) {
        struct detection_fact fact = fact_at(place, DETECTION_END, outside(place, i),
                                             inside(place, 24), 8443, i * UINT64_C(100));

        fact.packets[0] = 6;
        fact.packets[1] = i % 100 < percent ? 0 : 5;
        fact.payload_bytes[0] = payload;
        scene_add(&fact);
    }
}

static void one_way_attack(const struct traffic_place *place)
{
    one_way(place, 30, 500, 100);
}

/* One connection less than the least that tells anything. */
static void one_way_below(const struct traffic_place *place)
{
    one_way(place, 30, 500, 99);
}

/* Scans and backscatter: one way, and nothing in it. */
static void one_way_look_alike(const struct traffic_place *place)
{
    one_way(place, 100, 0, 600);
}

/* ---- unusual_port ---- */

static void speak(const struct traffic_place *place, enum detection_app app, uint16_t port,
                  uint64_t after_ms)
{
    struct detection_fact fact =
        fact_at(place, DETECTION_FLOW, inside(place, 25), outside(place, 82), port, after_ms);

    fact.app = (uint8_t)app;
    fact.is_answered = true;
    scene_add(&fact);
}

static void port_attack(const struct traffic_place *place)
{
    speak(place, DETECTION_APP_SSH, 53, 0);
}

/* NETCONF is SSH on a port of its own. */
static void port_below(const struct traffic_place *place)
{
    speak(place, DETECTION_APP_SSH, 830, 0);
}

/* Servers of a development department: HTTP and TLS wherever there was room. */
static void port_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 200; i++) {
        speak(place, i % 2 == 0 ? DETECTION_APP_HTTP : DETECTION_APP_TLS,
              (uint16_t)(7100 + i * 211 % 50000), i * UINT64_C(100));
    }
}

/* ---- lateral_movement ---- */

static void manage(const struct traffic_place *place, uint32_t client, uint32_t server,
                   uint16_t port, uint64_t after_ms)
{
    struct detection_fact fact = fact_at(place, DETECTION_FLOW, inside(place, client),
                                         inside(place, server), port, after_ms);

    fact.is_source_internal = fact.is_target_internal = true;
    fact.is_answered = true;
    scene_add(&fact);
}

static void lateral_attack(const struct traffic_place *place)
{
    manage(place, 26, 27, 22, 0);
    manage(place, 26, 28, 3389, MODEL_LEARNING_MS);
}

/* In the last second of the learning period. */
static void lateral_below(const struct traffic_place *place)
{
    manage(place, 26, 27, 22, 0);
    manage(place, 26, 28, 3389, MODEL_LEARNING_MS - 1000);
    manage(place, 26, 28, 3389, MODEL_LEARNING_MS + 5000);
}

/* An administrator's host does today what it did yesterday, and others use other services. */
static void lateral_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 60; i++) {
        manage(place, 26, 100 + i % 20, 22, i * UINT64_C(1000));
        manage(place, 30 + i, 99, 443, i * UINT64_C(1000) + 10);
    }
}

/* ---- ptr_sweep ---- */

/* Names of a network of addresses, of which every other one has one. */
static void ask_for_names(const struct traffic_place *place, uint32_t hosts)
{
    for (uint32_t i = 0; i < hosts; i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "%u.%u.100.10.in-addr.arpa", i, place->hosts);
        scene_dns(inside(place, 29), inside(place, 53), name, 12, i % 2 == 0 ? 3 : 0,
                  place->at_ms + i * UINT64_C(400), 40, 80);
    }
}

static void ptr_attack(const struct traffic_place *place)
{
    ask_for_names(place, 64);
}

static void ptr_below(const struct traffic_place *place)
{
    ask_for_names(place, 63);
}

/* A mail server asks for the names of those who come from everywhere. */
static void ptr_look_alike(const struct traffic_place *place)
{
    for (uint32_t i = 0; i < 600; i++) {
        char name[160];

        (void)snprintf(name, sizeof(name), "%u.%u.%u.203.in-addr.arpa", i % 251, i % 97,
                       place->hosts);
        scene_dns(inside(place, 29), inside(place, 53), name, 12, i % 2 == 0 ? 3 : 0,
                  place->at_ms + i * UINT64_C(100), 40, 80);
    }
}

/* ---- dhcp_starvation ---- */

/* `sender` 0: each asks for itself. */
static void discover(const struct traffic_place *place, uint32_t clients, uint8_t sender)
{
    for (uint32_t i = 0; i < clients; i++) {
        struct detection_fact fact =
            fact_at(place, DETECTION_DHCP, 0, 0xffffffff, 67, i * UINT64_C(900));

        fact.protocol = UDP;
        fact.source_port = 68;
        fact.code = 1;
        fact.client_mac[0] = 2;
        fact.client_mac[3] = (uint8_t)place->hosts;
        fact.client_mac[4] = sender;
        fact.client_mac[5] = (uint8_t)i;
        memcpy(fact.mac, fact.client_mac, sizeof(fact.mac));
        if (sender != 0) {
            fact.mac[5] = 0xff;
        }
        scene_add(&fact);
    }
}

static void starve_attack(const struct traffic_place *place)
{
    discover(place, 20, 1);
}

static void starve_below(const struct traffic_place *place)
{
    discover(place, 19, 1);
}

/* A class comes in, and each asks for itself. */
static void starve_look_alike(const struct traffic_place *place)
{
    discover(place, 60, 0);
}

const struct traffic_model traffic_models[] = {
    {"port_scan", ALERT_PORT_SCAN_VERTICAL, scan_attack, scan_below, scan_look_alike,
     "the fan-out of a content network"},
    {"syn_flood", ALERT_SYN_FLOOD, syn_attack, syn_below, syn_look_alike, "a flash crowd"},
    {"host_sweep", ALERT_HOST_SWEEP, sweep_attack, sweep_below, sweep_look_alike, "monitoring"},
    {"udp_flood", ALERT_UDP_FLOOD, udp_attack, udp_below, udp_look_alike, "a download over QUIC"},
    {"icmp_flood", ALERT_ICMP_FLOOD, icmp_attack, icmp_below, icmp_look_alike, "monitoring"},
    {"amplification", ALERT_AMPLIFICATION, reflect_attack, reflect_below, reflect_look_alike,
     "a resolver"},
    {"fragment_flood", ALERT_FRAGMENT_FLOOD, fragment_attack, fragment_below, fragment_look_alike,
     "a backup over NFS"},
    {"dns_tunnel", ALERT_DNS_TUNNEL, tunnel_attack, tunnel_below, tunnel_look_alike,
     "names of a content network"},
    {"dns_nxdomain", ALERT_DNS_NXDOMAIN_BURST, nxdomain_attack, nxdomain_below, nxdomain_look_alike,
     "a resolver"},
    {"beacon", ALERT_BEACON, beacon_attack, beacon_below, beacon_look_alike, "a person"},
    {"brute_force", ALERT_BRUTE_FORCE, brute_attack, brute_below, brute_look_alike, "monitoring"},
    {"data_exfil", ALERT_DATA_EXFIL, exfil_attack, exfil_below, exfil_look_alike,
     "a backup in a cloud"},
    {"long_connection", ALERT_LONG_CONNECTION, long_attack, long_below, long_look_alike, "a poll"},
    {"new_host", ALERT_NEW_HOST, host_attack, host_below, host_look_alike, "spoofed sources"},
    {"rogue_server", ALERT_ROGUE_DHCP, server_attack, server_below, server_look_alike,
     "a pair of servers and their clients"},
    {"arp_spoof", ALERT_ARP_SPOOF, arp_attack, arp_below, arp_look_alike, "a failover"},
    {"weak_crypto", ALERT_WEAK_TLS, crypto_attack, crypto_below, crypto_look_alike,
     "a gateway to many servers"},
    {"tcp_health", ALERT_TCP_HEALTH, health_attack, health_below, health_look_alike,
     "one bad connection"},
    {"sensor_loss", ALERT_SENSOR_LOSS, loss_attack, loss_below, loss_look_alike, "an idle link"},
    {"unidirectional", ALERT_UNIDIRECTIONAL, one_way_attack, one_way_below, one_way_look_alike,
     "scans and backscatter"},
    {"unusual_port", ALERT_UNUSUAL_PORT, port_attack, port_below, port_look_alike,
     "servers of developers"},
    {"lateral_movement", ALERT_LATERAL_MOVEMENT, lateral_attack, lateral_below, lateral_look_alike,
     "an administrator's host"},
    {"ptr_sweep", ALERT_PTR_SWEEP, ptr_attack, ptr_below, ptr_look_alike, "a mail server"},
    {"dhcp_starvation", ALERT_DHCP_STARVATION, starve_attack, starve_below, starve_look_alike,
     "a class that comes in"},
};

uint32_t traffic_models_count(void)
{
    return ARRAY_COUNT(traffic_models);
}

const struct traffic_model *traffic_model_of(const char *detector)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(traffic_models); i++) {
        if (strcmp(traffic_models[i].detector, detector) == 0) {
            return &traffic_models[i];
        }
    }
    return NULL;
}
