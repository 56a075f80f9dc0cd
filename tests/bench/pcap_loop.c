/* Reads a capture with libpcap and does nothing: what reading alone costs. Prints packets, bytes.
 */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>

struct sums {
    uint64_t packets, bytes;
};

static void count(unsigned char *context, const struct pcap_pkthdr *header,
                  const unsigned char *bytes)
{
    struct sums *sums = (struct sums *)(void *)context;

    (void)bytes;
    sums->packets++;
    sums->bytes += header->len;
}

int main(int argc, char **argv)
{
    char message[PCAP_ERRBUF_SIZE];
    struct sums sums = {0, 0};

    if (argc != 2) {
        (void)fputs("pcap_loop FILE\n", stderr);
        return 2;
    }
    pcap_t *file =
        pcap_open_offline_with_tstamp_precision(argv[1], PCAP_TSTAMP_PRECISION_NANO, message);

    if (file == NULL) {
        (void)fprintf(stderr, "pcap_loop: %s\n", message);
        return 1;
    }
    const int result = pcap_loop(file, -1, count, (unsigned char *)&sums);

    pcap_close(file);
    (void)printf("%" PRIu64 " packets %" PRIu64 " bytes\n", sums.packets, sums.bytes);
    return result == 0 ? 0 : 1;
}
