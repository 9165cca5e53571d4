/* The C side of `npm run bench -- libbpf`: the same work on the same maps with libbpf, nanoseconds as JSON lines. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static uint64_t received, sum;

static int on_record(void *context, void *data, size_t size)
{
	received++;
	sum += *(uint64_t *)data;
	return 0;
}

struct arguments {
	uint32_t count;
	uint32_t silent;
};

static int silent(enum libbpf_print_level level, const char *format, va_list list)
{
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t count = argc > 3 ? atoi(argv[2]) : 0, records = argc > 3 ? atoi(argv[3]) : 0;
	struct bpf_object *object;
	struct bpf_program *emit;
	struct ring_buffer *ring;
	uint32_t *keys = malloc(count * 4), asked;
	uint64_t *values = malloc(count * 8), batch[2];
	int fd, step = 0;
	double start;

	libbpf_set_print(silent);
	object = bpf_object__open_file(argv[1], NULL);
	if (!count || !records || !object || bpf_object__load(object))
		return 1;
	fd = bpf_object__find_map_fd_by_name(object, "counts");
	emit = bpf_object__find_program_by_name(object, "emit");

	start = now();
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value = i;

		if (bpf_map_update_elem(fd, &i, &value, 0))
			return 2;
	}
	printf("{\"set\":%f,", (now() - start) / count);

	start = now();
	for (uint32_t i = 0; i < count; i++) {
		uint64_t value;

		if (bpf_map_lookup_elem(fd, &i, &value) || value != i)
			return 3;
	}
	printf("\"get\":%f,", (now() - start) / count);

	start = now();
	for (uint32_t i = 0; i < count; i++) {
		keys[i] = i;
		values[i] = i * 2;
	}
	asked = count;
	if (bpf_map_update_batch(fd, keys, values, &asked, NULL))
		return 4;
	printf("\"setBatch\":%f,", (now() - start) / count);

	start = now();
	asked = count;
	/* Ends with ENOENT, with all entries read. */
	bpf_map_lookup_batch(fd, NULL, batch, keys, values, &asked, NULL);
	for (uint32_t i = 0; i < asked; i++)
		sum += values[i];
	if (asked != count)
		return 5;
	printf("\"getBatch\":%f,", (now() - start) / count);

	start = now();
	asked = count;
	if (bpf_map_delete_batch(fd, keys, &asked, NULL))
		return 6;
	printf("\"deleteBatch\":%f,", (now() - start) / count);

	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(object, "events"), on_record, NULL, NULL);
	if (!ring)
		return 7;
	start = 0;
	for (step = 0; received < records; step++) {
		struct arguments arguments = { .count = 10000, .silent = 1 };
		LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &arguments, .ctx_size_in = sizeof(arguments));
		double before;

		if (bpf_prog_test_run_opts(bpf_program__fd(emit), &opts))
			return 8;
		before = now();
		ring_buffer__consume(ring);
		start += now() - before;
	}
	printf("\"record\":%f,\"sum\":%llu}\n", start / received, (unsigned long long)sum);
	ring_buffer__free(ring);
	bpf_object__close(object);
	return 0;
}
