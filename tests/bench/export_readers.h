/* Subscribers of ObserveFlows in a process of their own, so that their CPU is not counted with the
 * exporter's. Depends on: base/rpc. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define EXPORT_READERS_MAX  4
#define EXPORT_READERS_PATH "/netscope.v1.FlowService/ObserveFlows"

struct export_readers {
    pid_t pid;
    int input;  /* its stdin; closing it ends them */
    int output; /* its stdout: what a message took */
};

/* Starts `program` as "read ADDRESS COUNT CA"; CA "": plaintext. False: it cannot be started. */
bool export_readers_start(const char *program, const char *address, unsigned count, const char *ca,
                          struct export_readers *out);
/* Returns ns CPU a message in the child, from the first one on; 0: it does not tell. */
double export_readers_end(const struct export_readers *readers);

/* The child: reads until its stdin is closed. Returns the exit status. */
int export_readers_run(const char *address, unsigned count, const char *ca);
