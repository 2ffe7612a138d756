/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target once over each file of a folder: how the committed corpus is a test without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_file(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (f == NULL) {
		perror(path);
		exit(1);
	}
	static uint8_t data[1 << 21];
	size_t size = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
	uint8_t *copy = malloc(size ? size : 1);
	if (copy == NULL)
		exit(1);
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	size_t files = 0;
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		if (d == NULL) {
			perror(argv[i]);
			return 1;
		}
		for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
			if (entry->d_name[0] == '.')
				continue;
			run_file(argv[i], entry->d_name);
			files++;
		}
		closedir(d);
	}
	printf("%zu inputs, no crash\n", files);
	return files > 0 ? 0 : 1;
}
