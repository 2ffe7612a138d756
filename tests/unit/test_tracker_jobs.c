/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which a tracker sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/tracker/jobs.h"

static struct job job(int32_t first)
{
	return (struct job){{first, first + 9}, JOB_NEW};
}

static void test_jobs_that_are_put_back_come_again_in_the_order_of_their_samples(void **state)
{
	struct jobs q = {0};
	(void)state;
	for (int32_t first = 0; first < 200; first += 10)
		jobs_push(&q, job(first));
	for (int32_t first = 0; first < 50; first += 10)
		assert_int_equal(jobs_pop(&q).samples.first, first);
	const int32_t refused[] = {20, 0, 40, 10, 30};
	for (size_t i = 0; i < 5; i++)
		jobs_put_back(&q, job(refused[i]));
	for (int32_t first = 0; first < 200; first += 10)
		assert_int_equal(jobs_pop(&q).samples.first, first);
	assert_int_equal(q.count, 0);
	jobs_free(&q);
}

static void test_a_job_that_is_put_back_into_an_empty_queue_or_behind_all_is_there(void **state)
{
	struct jobs q = {0};
	(void)state;
	jobs_put_back(&q, job(10));
	jobs_put_back(&q, job(20));
	assert_int_equal(jobs_pop(&q).samples.first, 10);
	assert_int_equal(jobs_pop(&q).samples.first, 20);
	jobs_free(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jobs_that_are_put_back_come_again_in_the_order_of_their_samples),
		cmocka_unit_test(test_a_job_that_is_put_back_into_an_empty_queue_or_behind_all_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
