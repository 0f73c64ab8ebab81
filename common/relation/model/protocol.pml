/* The protocol of one relationship: guarded writes, deletions, the feed, and everything that can go wrong between them.
 *
 * One transaction of a database is one atomic step. What a process holds in memory is a local variable, and a crash
 * resets it. README.md says what is left out and why that is sound, which configurations are checked, and what happens
 * without each rule. The switches that leave a rule out are in the first part of this file.
 */

/* ---- The size of a configuration -------------------------------------------------------------------------------- */

#ifndef USERS
#define USERS 1        /* parents */
#endif
#ifndef POSTS
#define POSTS 2        /* children that can exist at the same time */
#endif
#ifndef DELETIONS
#define DELETIONS 2    /* calls of DeleteUser that write an intent */
#endif
#ifndef DRIVERS
#define DRIVERS 2      /* callers, those who join them, and the recovery: whoever takes an intent on */
#endif
#ifndef CLIENTS
#define CLIENTS 1      /* those who create, move and delete posts */
#endif
#ifndef WRITES
#define WRITES 3       /* of each client */
#endif

/* The actions that a deletion may have. FIXED_ACTION is for a relationship that is declared SET NULL. */
#ifdef FIXED_ACTION
#define choose_action(action) action = FIXED_ACTION
#else
#define choose_action(action) if :: action = CASCADE :: action = SET_NULL :: action = RESTRICT fi
#endif

/* ---- The rules, each with the switch that leaves it out --------------------------------------------------------- */

/* NO_FENCE_AT_ADD: the guard adds a reference row without comparing sequences. */
#ifdef NO_FENCE_AT_ADD
#define answer_is_new_enough(as_of) true
#else
#define answer_is_new_enough(as_of) (last_deletion_sequence <= as_of)
#endif

/* NO_FENCE_AT_RELEASE: a release that finds no reference row adds a tombstone without comparing sequences. */
#ifdef NO_FENCE_AT_RELEASE
#define release_is_new_enough(as_of) true
#else
#define release_is_new_enough(as_of) (last_deletion_sequence <= as_of)
#endif

/* HEAD_IS_LAST_ID: the head is the highest id of the outbox. A transaction that rolled back has used an id up, so ids
   run ahead of the numbers. */
#ifdef HEAD_IS_LAST_ID
#define read_head (head + 1)
#else
#define read_head head
#endif

/* GUARD_ADDS_OVER_TOMBSTONE: the guard makes the reference row ACTIVE, although another state is there. */
#ifdef GUARD_ADDS_OVER_TOMBSTONE
#define guard_may_add(u) true
#else
#define guard_may_add(u) (reference[u] == ABSENT)
#endif

/* CREATED_ADDS_OVER_TOMBSTONE: the UserCreated event does the same. */
#ifdef CREATED_ADDS_OVER_TOMBSTONE
#define created_may_add(u) true
#else
#define created_may_add(u) (reference[u] == ABSENT)
#endif

/* NO_TOMBSTONE_CHECK: a write goes on whatever the state of its reference row is. */
#ifdef NO_TOMBSTONE_CHECK
#define may_write(u) (reference[u] != ABSENT)
#else
#define may_write(u) (reference[u] == ACTIVE)
#endif

/* MOVE_LOCKS_NEW_ONLY: a post that moves does not lock the reference that it leaves. With SET NULL this is no rule. */
#ifdef MOVE_LOCKS_NEW_ONLY
#define may_leave(u) true
#else
#define may_leave(u) (reference[u] == ACTIVE)
#endif

/* NO_REFUSED_THROUGH: a refusal is not stored. */
#ifdef NO_REFUSED_THROUGH
#define was_refused(d, u) false
#else
#define was_refused(d, u) (d <= refused_through[u])
#endif

/* REFUSED_BEFORE_COMMIT: a refusal is answered, and then its transaction rolls back. */
#ifdef REFUSED_BEFORE_COMMIT
#define store_refusal(d, u) if :: refused_through[u] = d :: true fi
#else
#define store_refusal(d, u) refused_through[u] = d
#endif

/* DRIVES_OWN_ACTION: whoever joins a deletion sends the action of its own call. */
#ifdef DRIVES_OWN_ACTION
#define choose_action_to_send(d) choose_action(action)
#else
#define choose_action_to_send(d) action = deletion_action[d]
#endif

/* UNKNOWN_IS_REFUSED: RESTRICT is refused when no definite answer comes. UNKNOWN_IS_PENDING: it is dropped then. */
#if defined(UNKNOWN_IS_REFUSED)
#define decide_without_answer(d) \
  if :: deletion_action[d] == RESTRICT -> decide(d, REFUSED) :: else -> decide(d, PENDING) fi
#elif defined(UNKNOWN_IS_PENDING)
#define decide_without_answer(d) decide(d, PENDING)
#else
#define decide_without_answer(d) \
  if :: deletion_action[d] == RESTRICT :: else -> decide(d, PENDING) fi
#endif

/* DROP_IN_ANY_STATE, REFUSE_IN_ANY_STATE: a driver decides a deletion that another one has decided. */
#if defined(DROP_IN_ANY_STATE)
#define may_decide(d, state) (deletion[d] == INTENT || state != REFUSED && user[deletion_user[d]] != ABSENT)
#elif defined(REFUSE_IN_ANY_STATE)
#define may_decide(d, state) (deletion[d] == INTENT || state == REFUSED)
#else
#define may_decide(d, state) (deletion[d] == INTENT)
#endif

/* NO_RECOVERY: nobody takes an intent on whose driver has gone away. */
#ifdef NO_RECOVERY
#define may_drive(d) (deletion[d] == INTENT && !driven[d])
#else
#define may_drive(d) (deletion[d] == INTENT)
#endif

/* DELETION_ID_AGAIN: the id of a deletion that was refused is used for the next one. */
#ifdef DELETION_ID_AGAIN
#define first_free_deletion ((deletion[1] == REFUSED) -> 1 : last_deletion_id + 1)
#else
#define first_free_deletion (last_deletion_id + 1)
#endif

/* RECLAIMS_RELEASED: rows are destroyed before the deletion event has been consumed. */
#ifdef RECLAIMS_RELEASED
#define may_reclaim(u) (reference[u] == RELEASED || reference[u] == RECLAIMING)
#else
#define may_reclaim(u) (reference[u] == RECLAIMING)
#endif

/* FORGETS_WITH_POSTS: the reference row is removed although posts are left. */
#ifdef FORGETS_WITH_POSTS
#define may_forget(u) true
#else
#define may_forget(u) (posts_of(u) == 0)
#endif

/* EVENT_HEEDS_REFUSED: the deletion event leaves an ACTIVE row as it is if a release of it was refused before. */
#ifdef EVENT_HEEDS_REFUSED
#define event_releases(u) (reference[u] == RELEASED || refused_through[u] == 0)
#else
#define event_releases(u) true
#endif

/* DELETING_IS_ACTIVE: a lookup counts a user that is being deleted as one that can be referred to. */
#ifdef DELETING_IS_ACTIVE
#define can_be_referred_to(u) (user[u] != ABSENT)
#else
#define can_be_referred_to(u) (user[u] == ACTIVE)
#endif

/* Switches that stand where the order of the steps is:
   ROW_BEFORE_HEAD             a lookup reads the row before the head.
   FENCE_BEFORE_TRANSACTION    the guard compares sequences in an earlier transaction than that which adds the row.
   KEEPS_OLD_ANSWER            an answer that does not pass the fence is tried again.
   INTENT_BEFORE_HEAD          the sender of a release sees INTENT first, and reads the head after it.
   COUNT_BEFORE_LOCK           RESTRICT goes by a count of before the lock.
   DROP_WITHOUT_EVENT          the event of a drop is stored by a transaction of its own.
   CHECKPOINT_BEFORE_EFFECT, EFFECT_BEFORE_CHECKPOINT  the two are transactions of their own, in this order.
   REFERENCE_BEFORE_CHECKPOINT the consumer reads the reference row before it has its checkpoint.
   CREATED_IS_REQUEUED         a UserCreated that failed is tried again later.
   NO_CHECKPOINT_COMPARISON    a second consumer applies an event again.
   ABSENT_IS_NOT_REPORTED      a deletion whose user has no reference row is not reported as reclaimed.
   FORGETS_BEFORE_REPORT       the reference row and the report are two transactions.
   RECLAIMS_OLD_LIST           the reclaim goes by a list of posts that an earlier transaction has read. */

/* ---- What must hold. A violation names the invariant. ----------------------------------------------------------- */

bool I1_orphan;                    /* a post refers to a user that is gone, and nothing is pending */
bool I2_acknowledged_write_lost;   /* a post vanishes, although its user was not dropped */
bool I3_restrict_took_a_post;
bool I4_write_after_deletion;      /* a write succeeds after DeleteUser has answered */
bool I4_read_after_deletion;       /* a read shows posts after DeleteUser has answered */
bool I5_user_comes_back;           /* a reference row is ACTIVE after the deletion event was consumed */
bool refused_although_nobody_may;  /* CASCADE and SET NULL cannot be refused */
bool living_user_is_hidden;        /* a user lives, its reference row is a tombstone, and nothing is pending */
bool reference_row_left;           /* a user is gone, and its reference row stays for ever */
bool deletion_never_ends;
bool user_and_deletion_differ;     /* a user is DELETING without a deletion, or the other way round */

#define must(condition, otherwise) if :: (condition) :: else -> assert(otherwise) fi

/* What a configuration has to reach, so that its "no violation" says something: -DREACH=... makes reaching it an
   error. */
mtype:goal = { FENCE_REFUSES_ANSWER, FENCE_REFUSES_RELEASE, LATE_RELEASE_REFUSED, COMPLETED_AFTER_RELEASE,
  COMPLETED_AFTER_PENDING, COMPLETED_AFTER_REFUSED, RECLAIMS_BY_BATCHES, POST_MOVED }
bool goal_reached;
#ifdef REACH
#define reached(goal) if :: (goal == REACH) -> assert(goal_reached) :: else fi
#else
#define reached(goal) skip
#endif

/* ---- Both databases --------------------------------------------------------------------------------------------- */

mtype = { ABSENT, ACTIVE, DELETING, RELEASED, RECLAIMING, INTENT, REFUSED, PENDING, COMPLETED, CASCADE, SET_NULL,
  RESTRICT, UNKNOWN, ABORTED }

/* The parent's service. Its feed begins with one UserCreated for each user, which are numbered already. */
mtype user[USERS];
mtype deletion[DELETIONS + 1];         /* by deletion_id; [0] is not used */
mtype deletion_action[DELETIONS + 1];
byte deletion_user[DELETIONS + 1];
byte last_deletion_id;
bool outbox[DELETIONS + 1];            /* the UserDeleted of this deletion has no number yet */
byte head;
byte feed[2 * USERS + 1];              /* by sequence: 0 is a UserCreated, else the deletion of a UserDeleted */
#ifdef NO_RECOVERY
bool driven[DELETIONS + 1];
#endif

/* The child's service. */
mtype reference[USERS];
byte refused_through[USERS];
byte reclaimed_for[USERS];             /* the deletion_id of a RECLAIMING row */
byte post[POSTS];                      /* NO_POST, the user + 1, or NULLED */
byte checkpoint;
byte last_deletion_sequence;
bool reported[DELETIONS + 1];          /* UserPostsReclaimed is in the child's feed */

#define NO_POST 0
#define NULLED 255

/* The network. A release that was sent once can arrive at any time, and again. It is named by its deletion_id and its
   as_of_sequence; the action belongs to the deletion. */
#define release_number(d, as_of) ((d - 1) * (USERS + 1) + as_of - USERS)
bool sent[DELETIONS * (USERS + 1)];

#if POSTS == 1
#define posts_of(u) (post[0] == (u) + 1)
#else
#define posts_of(u) ((post[0] == (u) + 1) + (post[1] == (u) + 1))
#endif
#define is_tombstone(u) (reference[u] == RELEASED || reference[u] == RECLAIMING)
/* DeleteUser may have answered that the user is deleted: then everybody may rely on that. */
#define was_answered(d, u) \
  (deletion_user[d] == u && (deletion[d] == RECLAIMING || deletion[d] == COMPLETED))
#if DELETIONS == 1
#define any_answered(u) was_answered(1, u)
#else
#define any_answered(u) (was_answered(1, u) || was_answered(2, u))
#endif

/* ---- The child's service: guarded writes ------------------------------------------------------------------------ */

mtype:write = { CREATE, MOVE }

proctype Client() {
  byte writes, u, from, i, as_of;
  mtype:write kind;
  bool has_answer, is_new_enough;
end:
next:
  atomic {
    writes < WRITES ->
    writes++; u = 0; from = 0; i = 0; as_of = 0; has_answer = false; is_new_enough = false;
    if
    :: true
#if USERS > 1
    :: u = 1
#endif
    fi;
    if
    :: kind = CREATE
#if USERS > 1
    :: kind = MOVE; from = 1 - u
#endif
    :: goto next   /* a client need not write */
    :: /* DeletePost does not ask anybody: a post whose reference row is missing is gone. */
       if
       :: post[0] == u + 1 && may_write(u) -> must(!any_answered(u), I4_write_after_deletion); post[0] = NO_POST
#if POSTS > 1
       :: post[1] == u + 1 && may_write(u) -> must(!any_answered(u), I4_write_after_deletion); post[1] = NO_POST
#endif
       :: else
       fi;
       goto next
    fi
  }
write:
#ifdef FENCE_BEFORE_TRANSACTION
  is_new_enough = answer_is_new_enough(as_of);
#endif
  atomic { /* one transaction: the fence, the reference row, the post */
#ifndef FENCE_BEFORE_TRANSACTION
    is_new_enough = answer_is_new_enough(as_of);
#endif
    if
#ifdef KEEPS_OLD_ANSWER
    :: has_answer && !is_new_enough -> goto write
#else
    :: has_answer && !is_new_enough -> reached(FENCE_REFUSES_ANSWER); goto look_up
#endif
    :: has_answer && is_new_enough && guard_may_add(u) -> reference[u] = ACTIVE
    :: else
    fi;
    if
    :: may_write(u) ->
       if
       :: kind == CREATE && post[0] == NO_POST -> i = 0
#if POSTS > 1
       :: kind == CREATE && post[0] != NO_POST && post[1] == NO_POST -> i = 1
#endif
       :: kind == MOVE && post[0] == from + 1 && may_leave(from) -> i = 0
#if POSTS > 1
       :: kind == MOVE && post[1] == from + 1 && may_leave(from) -> i = 1
#endif
       :: else -> goto next
       fi;
       must(!any_answered(u), I4_write_after_deletion);
       if
       :: kind == MOVE ->
#ifndef FIXED_ACTION
          must(!any_answered(from), I4_write_after_deletion);
#endif
          reached(POST_MOVED)
       :: else
       fi;
       post[i] = u + 1;
       goto next
    :: !may_write(u) && is_tombstone(u) -> goto next   /* refused: FOREIGN_KEY_VIOLATION */
    :: reference[u] == ABSENT -> skip
    fi
  }
look_up:
  atomic {
    has_answer = true;
#ifdef ROW_BEFORE_HEAD
    if :: can_be_referred_to(u) :: else -> goto next fi
#else
    as_of = read_head
#endif
  }
  atomic {
#ifdef ROW_BEFORE_HEAD
    as_of = read_head
#else
    if :: can_be_referred_to(u) :: else -> goto next fi
#endif
  }
  if
  :: goto write
  :: goto next   /* the answer is lost, or the process dies */
  fi
}

/* ---- The child's service: release ------------------------------------------------------------------------------- */

/* One transaction. `counted` is the number of posts that RESTRICT goes by. */
inline release(d, as_of, with_action, counted, answer) {
  if
  :: reference[deletion_user[d]] == ABSENT && !release_is_new_enough(as_of) ->
     answer = ABORTED; reached(FENCE_REFUSES_RELEASE)
  :: is_tombstone(deletion_user[d]) -> answer = RELEASED
  :: (reference[deletion_user[d]] == ACTIVE || reference[deletion_user[d]] == ABSENT && release_is_new_enough(as_of)) ->
     if
     :: was_refused(d, deletion_user[d]) -> answer = REFUSED; reached(LATE_RELEASE_REFUSED)
     :: !was_refused(d, deletion_user[d]) && with_action == RESTRICT && counted > 0 ->
        store_refusal(d, deletion_user[d]); answer = REFUSED
     :: !was_refused(d, deletion_user[d]) && !(with_action == RESTRICT && counted > 0) ->
        reference[deletion_user[d]] = RELEASED; answer = RELEASED
     fi
  fi
}

/* Whether a late copy would change anything. If not, its arrival is the same state, and is left out. */
#define would_change(d, as_of) \
  (sent[release_number(d, as_of)] && \
   (reference[deletion_user[d]] == ABSENT && release_is_new_enough(as_of) || \
    reference[deletion_user[d]] == ACTIVE && !was_refused(d, deletion_user[d])))

#define late_release(d, as_of) \
  atomic { would_change(d, as_of) -> \
    release(d, as_of, deletion_action[d], posts_of(deletion_user[d]), answer); answer = UNKNOWN }

proctype Network() {
  mtype answer = UNKNOWN;
end:
  do
  :: late_release(1, USERS)
  :: late_release(1, USERS + 1)
#if USERS > 1
  :: late_release(1, USERS + 2)
#endif
#if DELETIONS > 1
  :: late_release(2, USERS)
  :: late_release(2, USERS + 1)
#if USERS > 1
  :: late_release(2, USERS + 2)
#endif
#endif
  od
}

/* ---- The parent's service: deletions ---------------------------------------------------------------------------- */

/* Calls of DeleteUser until their intent is stored. A call that finds the user DELETING joins: that is one Driver more.
   The intent needs no caller afterwards. */
proctype Caller() {
  byte u, d;
  mtype action = UNKNOWN;
end:
  do
  :: atomic {
       last_deletion_id < DELETIONS ->
       u = 0;
       if
       :: true
#if USERS > 1
       :: u = 1
#endif
       fi;
       choose_action(action)
     }
progress_called:
     if
     :: atomic { action == RESTRICT -> if :: posts_of(u) > 0 -> goto done :: else fi }   /* validate_only */
     :: action != RESTRICT
     fi;
     atomic { /* one transaction: the row, the deletion */
       if
       :: user[u] == ACTIVE ->
          d = first_free_deletion;
          if :: d > last_deletion_id -> last_deletion_id = d :: else fi;
          user[u] = DELETING;
          deletion[d] = INTENT; deletion_action[d] = action; deletion_user[d] = u
       :: else
       fi
done:  u = 0; d = 0; action = UNKNOWN
     }
  :: last_deletion_id < DELETIONS -> break
  od
}

/* The drop, or the refusal: one transaction. */
inline decide(d, state) {
  if
  :: may_decide(d, state) ->
     deletion[d] = state;
     if
     :: state == REFUSED ->
        must(deletion_action[d] == RESTRICT, refused_although_nobody_may);
        user[deletion_user[d]] = ACTIVE
     :: else ->
        must(!(deletion_action[d] == RESTRICT && posts_of(deletion_user[d]) > 0), I3_restrict_took_a_post);
        user[deletion_user[d]] = ABSENT;
#ifndef DROP_WITHOUT_EVENT
        outbox[d] = true
#endif
     fi
  :: else
  fi
}

/* Takes intents through release and drop. The caller of DeleteUser, those who join and the recovery do the same. */
proctype Driver() {
  byte d, as_of, counted;
  mtype action = UNKNOWN, answer = UNKNOWN;
end:
idle:
  atomic {
    d = 0; as_of = 0; counted = 0; action = UNKNOWN; answer = UNKNOWN;
    if
    :: may_drive(1) -> d = 1
#if DELETIONS > 1
    :: may_drive(2) -> d = 2
#endif
    fi;
#ifdef NO_RECOVERY
    driven[d] = true;
#endif
#ifndef INTENT_BEFORE_HEAD
    as_of = read_head
#endif
  }
#ifdef INTENT_BEFORE_HEAD
  if :: deletion[d] == INTENT :: deletion[d] != INTENT -> goto idle fi;
#endif
  atomic {
#ifdef INTENT_BEFORE_HEAD
    as_of = head;
#else
    if :: deletion[d] == INTENT :: deletion[d] != INTENT -> goto idle fi;
#endif
    sent[release_number(d, as_of)] = true;
    choose_action_to_send(d)
  }
#ifdef COUNT_BEFORE_LOCK
  counted = posts_of(deletion_user[d]);
#endif
  if
  :: atomic { /* it arrives */
#ifndef COUNT_BEFORE_LOCK
       counted = posts_of(deletion_user[d]);
#endif
       release(d, as_of, action, counted, answer); action = UNKNOWN; counted = 0; as_of = 0
     }
  :: true ->   /* it is lost, or late; or its answer is */
progress_lost:
     atomic { answer = UNKNOWN; action = UNKNOWN; counted = 0; as_of = 0 }
  :: goto progress_crash
  fi;
  if
  :: atomic { answer == RELEASED -> decide(d, RECLAIMING) }
  :: atomic { answer == REFUSED -> decide(d, REFUSED) }
  :: atomic { answer == UNKNOWN -> decide_without_answer(d) }
  :: answer == ABORTED -> goto idle
  :: atomic { answer == ABORTED -> decide_without_answer(d) }   /* too many rounds */
  :: goto progress_crash
  fi;
#ifdef DROP_WITHOUT_EVENT
  if
  :: atomic { deletion[d] == PENDING || deletion[d] == RECLAIMING -> outbox[d] = true }
  :: goto progress_crash
  fi;
#endif
  goto idle;
progress_crash:
  goto idle
}

/* The sequencer, and the consumer of the child's feed. Neither keeps anything in memory. */
#define number_event(d) atomic { outbox[d] -> outbox[d] = false; head++; feed[head] = d }
#define complete(d) \
  atomic { reported[d] && deletion[d] == PENDING -> deletion[d] = COMPLETED; reached(COMPLETED_AFTER_PENDING) } \
  :: atomic { reported[d] && deletion[d] == RECLAIMING -> deletion[d] = COMPLETED; reached(COMPLETED_AFTER_RELEASE) }

proctype ParentBackground() {
end:
  do
  :: number_event(1)
  :: complete(1)
#if DELETIONS > 1
  :: number_event(2)
  :: complete(2)
#endif
  od
}

/* ---- The child's service: the consumer -------------------------------------------------------------------------- */

inline consume_created(u) {
  if
  :: created_may_add(u) -> reference[u] = ACTIVE
  :: !created_may_add(u)
  :: true   /* the hint fails, and is skipped */
  fi
}

inline consume_deleted(d, known) {
  if
  :: known == ABSENT ->
#ifndef ABSENT_IS_NOT_REPORTED
     reported[d] = true
#endif
  :: known != ABSENT && event_releases(deletion_user[d]) ->
     reference[deletion_user[d]] = RECLAIMING; reclaimed_for[deletion_user[d]] = d
  :: else
  fi
}

proctype Consumer() {
  byte s;
  bool again;
  mtype known = UNKNOWN;
end:
  do
#if defined(CHECKPOINT_BEFORE_EFFECT)
  :: atomic { checkpoint < head ->
       checkpoint++; s = checkpoint; if :: feed[s] != 0 -> last_deletion_sequence = s :: else fi }
     if
     :: atomic { feed[s] == 0 -> consume_created(s - 1) }
     :: atomic { feed[s] != 0 -> consume_deleted(feed[s], reference[deletion_user[feed[s]]]) }
     :: true   /* the process dies */
     fi
#elif defined(EFFECT_BEFORE_CHECKPOINT)
  :: atomic { checkpoint < head ->
       s = checkpoint + 1;
       if
       :: feed[s] == 0 -> consume_created(s - 1)
       :: else -> consume_deleted(feed[s], reference[deletion_user[feed[s]]])
       fi }
     if
     :: atomic { checkpoint = s; if :: feed[s] != 0 -> last_deletion_sequence = s :: else fi }
     :: true   /* the process dies */
     fi
#else
  :: atomic { checkpoint < head && feed[checkpoint + 1] == 0 -> checkpoint++; consume_created(checkpoint - 1) }
#ifdef REFERENCE_BEFORE_CHECKPOINT
  :: atomic { checkpoint < head && feed[checkpoint + 1] != 0 -> known = reference[deletion_user[feed[checkpoint + 1]]] }
     atomic { checkpoint++; last_deletion_sequence = checkpoint; consume_deleted(feed[checkpoint], known);
       known = UNKNOWN }
#else
  :: atomic { checkpoint < head && feed[checkpoint + 1] != 0 ->
       checkpoint++; last_deletion_sequence = checkpoint;
       consume_deleted(feed[checkpoint], reference[deletion_user[feed[checkpoint]]]) }
#endif
#endif
#ifdef CREATED_IS_REQUEUED
  :: atomic { checkpoint > 0 && !again -> again = true; consume_created(0) }
#endif
#ifdef NO_CHECKPOINT_COMPARISON
  /* A second consumer, which was asleep, applies the events that it has in memory once more. */
  :: atomic { checkpoint > 0 && !again -> again = true; consume_created(0) }
#endif
  od
}

/* ---- The child's service: reclaim ------------------------------------------------------------------------------- */

/* What becomes of a post of a deleted user goes by the action of the deletion, which its event carries. */
#define reclaim_post(i, u) \
  must(user[u] == ABSENT, I2_acknowledged_write_lost); \
  if :: posts_of(u) > 1 -> reached(RECLAIMS_BY_BATCHES) :: else fi; \
  post[i] = (deletion_action[reclaimed_for[u]] == SET_NULL -> NULLED : NO_POST)

#define reclaim_batch(i, u) atomic { may_reclaim(u) && post[i] == (u) + 1 -> reclaim_post(i, u) }

/* None is left: removing the reference row and the event that says so are one transaction. */
#define forget(u) \
  may_reclaim(u) && may_forget(u) -> d = reclaimed_for[u]; \
  reference[u] = ABSENT; refused_through[u] = 0; reclaimed_for[u] = 0

proctype Reclaim() {
  byte d, old;
end:
  do
#ifdef RECLAIMS_OLD_LIST
  :: atomic { reference[0] == RECLAIMING && post[0] == 1 && old == 0 -> old = 1 }
  :: atomic { reference[0] == RECLAIMING && old == 1 ->
       must(post[0] == 1 || post[0] == NO_POST, I2_acknowledged_write_lost); reclaim_post(0, 0); old = 0 }
#else
  :: reclaim_batch(0, 0)
#if POSTS > 1
  :: reclaim_batch(1, 0)
#endif
#endif
#if USERS > 1
  :: reclaim_batch(0, 1)
#if POSTS > 1
  :: reclaim_batch(1, 1)
#endif
#endif
#ifdef FORGETS_BEFORE_REPORT
  :: atomic { forget(0) }
     if
     :: atomic { reported[d] = true; d = 0 }
     :: d = 0   /* the process dies */
     fi
#else
  :: atomic { forget(0); reported[d] = true; d = 0 }
#if USERS > 1
  :: atomic { forget(1); reported[d] = true; d = 0 }
#endif
#endif
  od
}

/* ---- The checks ------------------------------------------------------------------------------------------------- */

#define event_is_consumed(s, u) (checkpoint >= s && feed[s] != 0 && deletion_user[feed[s]] == u)
#if USERS == 1
#define deletion_is_consumed(u) event_is_consumed(2, u)
#else
#define deletion_is_consumed(u) (event_is_consumed(3, u) || event_is_consumed(4, u))
#endif

/* In every state. */
proctype Monitor() {
end:
  do
  :: atomic { reference[0] == ACTIVE && any_answered(0) -> assert(I4_read_after_deletion) }
  :: atomic { reference[0] == ACTIVE && deletion_is_consumed(0) -> assert(I5_user_comes_back) }
#if USERS > 1
  :: atomic { reference[1] == ACTIVE && any_answered(1) -> assert(I4_read_after_deletion) }
  :: atomic { reference[1] == ACTIVE && deletion_is_consumed(1) -> assert(I5_user_comes_back) }
#endif
  od
}

/* At rest: no process can do anything. Faults have stopped, because each of them would be a step. */
inline check_deletion_at_rest(d) {
  must(deletion[d] == ABSENT || deletion[d] == REFUSED || deletion[d] == COMPLETED, deletion_never_ends)
}

inline check_user_at_rest(u) {
  must(!(user[u] == ABSENT && posts_of(u) > 0), I1_orphan);
  must(!(user[u] == ABSENT && reference[u] != ABSENT), reference_row_left);
  must(!(user[u] == ACTIVE && is_tombstone(u)), living_user_is_hidden);
  must(user[u] != DELETING, user_and_deletion_differ)
}

init {
  byte n;
  atomic {
    for (n : 0 .. USERS - 1) { user[n] = ACTIVE; reference[n] = ABSENT }
    for (n : 0 .. DELETIONS) { deletion[n] = ABSENT; deletion_action[n] = ABSENT }
    head = USERS;
    for (n : 1 .. CLIENTS) { run Client() }
    for (n : 1 .. DRIVERS) { run Driver() }
    run Caller(); run Network(); run ParentBackground(); run Consumer(); run Reclaim(); run Monitor();
    n = 0
  }
  atomic {
    timeout ->
    check_deletion_at_rest(1);
#if DELETIONS > 1
    check_deletion_at_rest(2);
    if :: deletion[1] == REFUSED && deletion[2] == COMPLETED -> reached(COMPLETED_AFTER_REFUSED) :: else fi;
#endif
    check_user_at_rest(0);
#if USERS > 1
    check_user_at_rest(1)
#endif
  }
}
