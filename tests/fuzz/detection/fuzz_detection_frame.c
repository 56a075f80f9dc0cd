/* Sketches as sensors send them: whatever the bytes, the frame stays within its tables, and what
 * was read can be written and read again. */
#include <stdlib.h>

#include "detection/detection.h"

#define WIRE_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct detection_settings settings;
    static struct detection_frame *frame, *copy;
    static uint8_t wire[WIRE_BYTES];
    struct error err = {0};

    if (frame == NULL) {
        if (detection_settings_default(&settings, &err) != 0) {
            abort();
        }
        settings.victims_max = settings.scanners_max = settings.keys_max = 16;
        frame = detection_frame_new(&settings, &err);
        copy = detection_frame_new(&settings, &err);
        if (frame == NULL || copy == NULL) {
            abort();
        }
    }
    detection_frame_reset(frame, 1700000000, 1);
    detection_frame_reset(copy, 1700000000, 1);
    if (!detection_frame_read(frame, data, size, 63)) {
        return 0;
    }
    const size_t length = detection_frame_write(frame, wire, sizeof(wire));

    if (length == 0 || !detection_frame_read(copy, wire, length, 0)) {
        abort();
    }
    return 0;
}
