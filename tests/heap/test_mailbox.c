#include "heap/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "support/process.h"
#include "heap/waiter.h"

typedef struct job {
    stoa_posted call;
    int number;
    int runs; /* written by the claimer, read after the call is over: a plain variable, for ThreadSanitizer to judge */
    int answer;
} job;

static _Atomic int disposed;

static void
run_job(stoa_posted *call)
{
    job *j = (job *)call;
    j->runs++;
    j->answer = j->number * 2;
}

static void
dispose_job(stoa_posted *call)
{
    atomic_fetch_add(&disposed, 1);
    free(call);
}

static job *
new_job(int number, stoa_waiter *sender)
{
    job *j = calloc(1, sizeof(*j));
    assert_non_null(j);
    j->number = number;
    stoa__call_init(&j->call, sender, run_job, dispose_job);
    return j;
}

static void
post(stoa_mailbox *mailbox, job *j, bool expect_summon)
{
    bool summon = !expect_summon;
    assert_int_equal(stoa__mailbox_post(mailbox, &j->call, &summon), STOA_OK);
    assert_int_equal(summon, expect_summon);
}

static void
run_one(stoa_mailbox *mailbox)
{
    stoa_posted *call = stoa__mailbox_take(mailbox);
    assert_non_null(call);
    call->run(call);
    stoa__call_done(call);
}

static void
mailbox_gives_calls_in_order_and_summons_once(void **state)
{
    (void)state;
    stoa_mailbox mailbox;
    stoa__mailbox_init(&mailbox);
    disposed = 0;
    job *jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = new_job(i, NULL);
        post(&mailbox, jobs[i], i == 0);
    }
    assert_int_equal(stoa__mailbox_count(&mailbox), 3);
    stoa__mailbox_arrive(&mailbox);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(jobs[i]->runs, 0);
        run_one(&mailbox);
        assert_true(stoa__call_over(&jobs[i]->call));
        assert_int_equal(jobs[i]->answer, i * 2);
        stoa__call_unref(&jobs[i]->call);
    }
    assert_null(stoa__mailbox_take(&mailbox));
    assert_int_equal(disposed, 3);
    job *late = new_job(9, NULL);
    post(&mailbox, late, true);
    run_one(&mailbox);
    stoa__call_unref(&late->call);
    stoa__mailbox_close(&mailbox);
}

static void
withdrawn_calls_are_not_run(void **state)
{
    (void)state;
    stoa_mailbox mailbox;
    stoa__mailbox_init(&mailbox);
    disposed = 0;
    job *first = new_job(1, NULL), *second = new_job(2, NULL), *third = new_job(3, NULL);
    post(&mailbox, first, true);
    post(&mailbox, second, false);
    post(&mailbox, third, false);
    assert_true(stoa__call_withdraw(&second->call));
    assert_false(stoa__call_withdraw(&second->call));
    stoa__call_unref(&second->call);
    assert_int_equal(disposed, 1);
    stoa_posted *claimed = stoa__mailbox_take(&mailbox);
    assert_ptr_equal(claimed, &first->call);
    assert_false(stoa__call_withdraw(claimed));
    claimed->run(claimed);
    stoa__call_done(claimed);
    stoa__call_unref(&first->call);
    run_one(&mailbox);
    assert_int_equal(third->runs, 1);
    stoa__call_unref(&third->call);
    assert_int_equal(disposed, 3);
    stoa__mailbox_close(&mailbox);
}

static void
sender_may_leave_while_the_call_runs(void **state)
{
    (void)state;
    stoa_mailbox mailbox;
    stoa__mailbox_init(&mailbox);
    disposed = 0;
    job *j = new_job(1, NULL);
    post(&mailbox, j, true);
    stoa_posted *claimed = stoa__mailbox_take(&mailbox);
    stoa__call_unref(&j->call);
    assert_int_equal(disposed, 0);
    claimed->run(claimed);
    stoa__call_done(claimed);
    assert_int_equal(disposed, 1);
    stoa__mailbox_close(&mailbox);
}

static void
closing_refuses_what_is_posted_and_what_comes(void **state)
{
    (void)state;
    stoa_mailbox mailbox;
    stoa__mailbox_init(&mailbox);
    disposed = 0;
    stoa_waiter *self = stoa__waiter_here();
    job *posted = new_job(1, self), *late = new_job(2, self);
    post(&mailbox, posted, true);
    uint32_t seen = stoa__waiter_look(self);
    stoa__mailbox_close(&mailbox);
    stoa__mailbox_close(&mailbox);
    assert_int_equal(posted->call.state, STOA_CALL_REFUSED);
    assert_true(stoa__call_over(&posted->call));
    assert_int_not_equal(stoa__waiter_look(self), seen);
    bool summon;
    assert_int_equal(stoa__mailbox_post(&mailbox, &late->call, &summon), STOA_EGONE);
    assert_false(summon);
    stoa__call_unref(&posted->call);
    stoa__call_unref(&late->call);
    assert_int_equal(disposed, 2);
}

#define SENDERS 3
#define EACH 4000

static stoa_mailbox busy;
static _Atomic int taken_back, senders_left;

static void *
send_many(void *arg)
{
    unsigned random = (unsigned)(uintptr_t)arg * 2654435761u + 1;
    stoa_waiter *self = stoa__waiter_here();
    for (int i = 0; i < EACH; i++) {
        job *j = new_job(i, self);
        bool summon;
        assert_int_equal(stoa__mailbox_post(&busy, &j->call, &summon), STOA_OK);
        random = random * 1103515245u + 12345u;
        if (random >> 30 == 0 && stoa__call_withdraw(&j->call)) {
            assert_int_equal(j->runs, 0);
            atomic_fetch_add(&taken_back, 1);
            stoa__call_unref(&j->call);
            continue;
        }
        if (random >> 30 == 1) { /* does not wait for the answer */
            stoa__call_unref(&j->call);
            continue;
        }
        for (;;) {
            uint32_t seen = stoa__waiter_look(self);
            if (stoa__call_over(&j->call)) {
                break;
            }
            (void)stoa__waiter_spin_sleep(self, seen, 2000, STOA_FOREVER);
        }
        assert_int_equal(j->runs, 1);
        assert_int_equal(j->answer, i * 2);
        stoa__call_unref(&j->call);
    }
    atomic_fetch_sub(&senders_left, 1);
    return NULL;
}

static void *
receive_all(void *out)
{
    int *count = out;
    while (atomic_load(&senders_left) > 0 || stoa__mailbox_count(&busy) > 0) {
        stoa_posted *call = stoa__mailbox_take(&busy);
        if (call != NULL) {
            call->run(call);
            stoa__call_done(call);
            ++*count;
        }
    }
    return NULL;
}

static void
who_did_not_come_before_the_close_is_summoned_again_after_it(void **state)
{
    (void)state;
    stoa_mailbox mailbox;
    stoa__mailbox_init(&mailbox);
    job *before = new_job(1, NULL), *after = new_job(2, NULL);
    post(&mailbox, before, true);
    stoa__mailbox_close(&mailbox); /* the summons goes to nobody */
    stoa__mailbox_reopen(&mailbox);
    post(&mailbox, after, true);
    assert_true(stoa__call_withdraw(&after->call));
    stoa__call_unref(&before->call);
    stoa__call_unref(&after->call);
}

static void
every_call_is_run_exactly_once_or_taken_back(void **state)
{
    (void)state;
    stoa__mailbox_init(&busy);
    disposed = 0;
    taken_back = 0;
    senders_left = SENDERS;
    pthread_t senders[SENDERS], receivers[2];
    int counts[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&receivers[i], NULL, receive_all, &counts[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_create(&senders[i], NULL, send_many, (void *)(uintptr_t)(i + 1)), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i], NULL);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(receivers[i], NULL);
    }
    assert_int_equal(counts[0] + counts[1] + taken_back, SENDERS * EACH);
    assert_int_equal(disposed, SENDERS * EACH);
    stoa__mailbox_close(&busy);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailbox_gives_calls_in_order_and_summons_once),
        cmocka_unit_test(withdrawn_calls_are_not_run),
        cmocka_unit_test(sender_may_leave_while_the_call_runs),
        cmocka_unit_test(closing_refuses_what_is_posted_and_what_comes),
        cmocka_unit_test(who_did_not_come_before_the_close_is_summoned_again_after_it),
        cmocka_unit_test(every_call_is_run_exactly_once_or_taken_back),
    };
    return cmocka_run_group_tests(tests, open_process, NULL);
}
