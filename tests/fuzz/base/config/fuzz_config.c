/* Any bytes as a configuration file: refused with a sentence or taken, and what is taken prints as
 * a file that is taken again and means the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/base/config/sample_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample_settings settings;
    struct config_section sections[SAMPLE_SECTIONS];
    struct error err = {0};
    sample_sections(&settings, sections);
    AUTO(config) config = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    check(config != NULL);
    if (config_load_text(config, (const char *)data, size, "fuzz.yaml", &err) != 0) {
        check(err.code != 0 && err.message[0] != '\0');
        return 0;
    }
    char before[17], after[17];
    config_hash_text(config, before);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    check(out != NULL);
    config_print_yaml(config, out);
    check(fclose(out) == 0);

    AUTO(config) again = config_new(sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
    check(again != NULL);
    check(config_load_text(again, text, length, "printed.yaml", &err) == 0);
    config_hash_text(again, after);
    check(strcmp(before, after) == 0);
    free(text);
    return 0;
}
