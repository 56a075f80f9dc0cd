/* The file of what detectors have learnt, with every detector's part of it: whatever the bytes,
 * they are taken within the tables, or refused. */
#include <stdlib.h>
#include <string.h>

#include "detection/detection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct detection_settings settings;
    static bool is_set;
    struct error err = {0};
    struct detection_learnt_sum sum;

    if (!is_set) {
        if (detection_settings_default(&settings, &err) != 0) {
            abort();
        }
        settings.victims_max = settings.scanners_max = settings.keys_max = 16;
        settings.keeps_learnt = true;
        is_set = true;
    }
    struct detection *detection = detection_new(&settings, &err);

    if (detection != NULL) {
        (void)!detection_learnt_read(detection, data, size, &sum);
        detection_free(detection);
    }
    return 0;
}
