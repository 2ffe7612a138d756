/* SPDX-License-Identifier: Apache-2.0
 *
 * What cppcheck has to know of sys/queue.h, which it does not read. */
#define TAILQ_FOREACH(var, head, field) for ((var) = (head)->tqh_first; (var); (var) = (var)->field.tqe_next)
