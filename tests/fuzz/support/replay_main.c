/* Runs a fuzz target over files instead of fuzzing: for coverage, and where libFuzzer is not there.
 *
 *   fuzz_x PATH...      files, and all files in directories and below them
 *
 * Each input is also cut to several lengths. If the target makes first inputs of its own
 * (LLVMFuzzerCustomMutator), those are run, too. Prints how many inputs there were. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX (1U << 20)
#define MADE_INPUTS     256U
#define CUTS            16U
#define MADE_BYTES_MAX  4096U
#define MUTATOR_EVERY   64U /* seeds that make a new input in our targets */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max,
                                                     unsigned seed);

static unsigned inputs;

/* libFuzzer has a real one. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max)
{
    (void)data;
    (void)size_max;
    return size;
}

/* In a block of exactly its size. */
static void run_once(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        exit(1);
    }
    memcpy(copy, bytes, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Whole, and cut to several lengths, as a fuzzer does it first. */
static void run(const uint8_t *bytes, size_t size)
{
    run_once(bytes, size);
    for (unsigned part = 1; part < CUTS && size >= CUTS; part++) {
        run_once(bytes, size * part / CUTS);
    }
    inputs++;
}

static void run_file(const char *path)
{
    static uint8_t bytes[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        (void)fprintf(stderr, "replay: %s cannot be read\n", path);
        exit(1);
    }
    const size_t size = fread(bytes, 1, sizeof(bytes), file);

    (void)fclose(file);
    run(bytes, size);
}

static void run_path(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    DIR *directory = opendir(path);

    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char below[4096];

        if (entry->d_name[0] != '.') {
            (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
            run_path(below);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

static void run_made(void)
{
    static uint8_t bytes[MADE_BYTES_MAX];

    for (unsigned i = 0; i < MADE_INPUTS; i++) {
        memset(bytes, 0, sizeof(bytes));
        run(bytes, LLVMFuzzerCustomMutator(bytes, 0, sizeof(bytes), i * MUTATOR_EVERY));
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        run_path(argv[i]);
    }
    if (LLVMFuzzerCustomMutator != NULL) {
        run_made();
    }
    (void)printf("%u inputs\n", inputs);
    return 0;
}
