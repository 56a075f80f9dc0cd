#include "ctl/collector.h"

enum ctl_exit collector_run(struct ctl *ctl, const char *what,
                            enum ctl_exit (*use)(struct ctl *ctl, struct connection *connection,
                                                 struct error *err),
                            struct error *err)
{
    struct connection connection;
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    status = status == CTL_OK ? connection_needs_collector(&connection, what, err) : status;
    status = status == CTL_OK ? use(ctl, &connection, err) : status;
    connection_close(&connection);
    return status;
}

enum ctl_exit collector_each(struct ctl *ctl, const char *what,
                             enum ctl_exit (*use)(struct ctl *ctl, struct connection *connection,
                                                  const char *operand, struct error *err),
                             struct error *err)
{
    struct connection connection;
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    status = status == CTL_OK ? connection_needs_collector(&connection, what, err) : status;
    for (unsigned i = 0; status == CTL_OK && i < ctl->options.operands_count; i++) {
        const char *operand = ctl->options.operands[i];

        status = use(ctl, &connection, operand, err);
        if (status != CTL_OK && err->code != 0) {
            const struct error cause = *err;

            (void)error_set(err, cause.code, "%s: %.400s", operand, cause.message);
        }
    }
    connection_close(&connection);
    return status;
}
