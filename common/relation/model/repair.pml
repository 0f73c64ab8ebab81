/* Restore and repair: one of the two databases goes back to an earlier state, while the other one goes on.
 *
 * There is one id of a parent. It can be given again when the counter of ids goes back, so each user that has it has a
 * uid of its own. protocol.pml has the races of the protocol; here its steps are as coarse as that allows. One
 * transaction is one atomic step, and what a process holds in memory is a local variable. README.md says what is left
 * out, which configurations are checked, and what happens without each rule.
 */

/* ---- The size of a configuration -------------------------------------------------------------------------------- */

/* RESTORE_PARENT, RESTORE_CHILD: whose database goes back, once. OTHER_USER: a user with another id is deleted.
   STRANGER: a release comes from nobody, once, and is refused; its deletion id is beyond all that were given. */
#ifndef ACTION
#define ACTION CASCADE   /* of all deletions; or RESTRICT */
#endif
#ifndef UIDS
#define UIDS 2           /* users that get the id, one after the other */
#endif
#ifndef DELETIONS
#define DELETIONS 2      /* intents, those of another user included */
#endif
#ifndef WRITES
#define WRITES 2         /* posts that are written */
#endif
#ifndef REPAIRS
#define REPAIRS 1        /* repairs that somebody starts without a reason */
#endif
#ifndef CRASHES
#define CRASHES 1        /* of a repair; it begins again */
#endif
#define EVENTS (UIDS + 2 * DELETIONS)
#define REPORTS 8

/* ---- The rules, each with the switch that leaves it out --------------------------------------------------------- */

/* NO_LOG_MATCHING: the id of the event at the checkpoint is not compared. */
#ifdef NO_LOG_MATCHING
#define log_fits true
#define reports_fit true
#else
#define log_fits (checkpoint == 0 || checkpoint <= head && feed[checkpoint] == checkpoint_event)
#define reports_fit \
  (report_checkpoint == 0 || \
   report_checkpoint <= report_head && report_feed[report_checkpoint] == report_checkpoint_id)
#endif

/* NO_HIGHEST_ID: the highest id of a parent that was seen is not compared. */
#ifdef NO_HIGHEST_ID
#define ids_fit true
#else
#define ids_fit (!id_seen || id_taken)
#endif

/* NO_HIGHEST_DELETION: the highest deletion id that was seen is not compared. DELETION_WITHOUT_UID: it is, but not the
   uid of its user. */
#if defined(NO_HIGHEST_DELETION)
#define deletions_fit true
#elif defined(DELETION_WITHOUT_UID)
#define deletions_fit (deletion_seen <= last_deletion_id)
#else
#define deletions_fit \
  (deletion_seen <= last_deletion_id && (deletion_seen_uid == 0 || deletion_uid[deletion_seen] == deletion_seen_uid))
#endif

/* NO_FEED_ID: numbers of two histories are compared. */
#ifdef NO_FEED_ID
#define same_feed(id) true
#else
#define same_feed(id) (id == known_feed_id)
#endif
#define witnesses_fit (same_feed(feed_id) && log_fits && ids_fit && deletions_fit)

/* NO_COMPARISON_AT_CALLS: witnesses are compared by the consumer only, and not before a lookup or a release. */
#ifdef NO_COMPARISON_AT_CALLS
#define call_fits true
#else
#define call_fits witnesses_fit
#endif

/* NO_UID: an event or a release for another uid than that of the reference row takes effect all the same. */
#ifdef NO_UID
#define same_uid(uid) true
#else
#define same_uid(uid) (reference_uid == uid)
#endif

/* NO_EXPIRY: an answer of before a restore is used after it. LATE_REQUESTS: so is a request. */
#ifdef NO_EXPIRY
#define answer_is_fresh(restores_then) true
#else
#define answer_is_fresh(restores_then) (restores_then == restores)
#endif
#ifdef LATE_REQUESTS
#define request_is_fresh(restores_then) true
#else
#define request_is_fresh(restores_then) (restores_then == restores)
#endif

/* GOES_ON_AFTER_MISMATCH: the publisher that has lost something goes on taking writes. */
#ifdef GOES_ON_AFTER_MISMATCH
#define parent_takes_writes true
#define child_takes_writes true
#else
#define parent_takes_writes (!parent_halted)
#define child_takes_writes (!child_halted)
#endif

/* RELEASES_WHILE_REPAIRING: a release is carried out although the list is on its way. */
#ifdef RELEASES_WHILE_REPAIRING
#define takes_releases (consumer == GOING_ON || consumer == REPAIRING)
#else
#define takes_releases (consumer == GOING_ON)
#endif

/* TOMBSTONE_OF_ANOTHER: a release is answered RELEASED although the row is being reclaimed for another deletion, after
   which nothing is left of it. */
#ifdef TOMBSTONE_OF_ANOTHER
#define is_tombstone_of(d) true
#else
#define is_tombstone_of(d) (reference == RELEASED || reference_deletion == d)
#endif

/* NO_RETURN: a RELEASED row stays one, although its owner says that it is there and not being deleted. */
#ifdef NO_RETURN
#define returns false
#else
#define returns (answer_uid == row_uid && !answer_deleting)
#endif

/* RETURNS_WHILE_DELETING: a RELEASED row becomes ACTIVE although its owner is being deleted. */
#ifdef RETURNS_WHILE_DELETING
#undef returns
#define returns (answer_uid == row_uid)
#endif

/* LIST_IGNORES_ROW: the owner's answer is applied to whatever row is there by then. */
#ifdef LIST_IGNORES_ROW
#define row_is_the_same true
#else
#define row_is_the_same (reference_uid == row_uid)
#endif

/* ENDS_BEFORE_RECLAIM: a repair ends while the row of a lost user is being reclaimed. */
#ifdef ENDS_BEFORE_RECLAIM
#define is_reclaimed true
#else
#define is_reclaimed (reference != RECLAIMING || reference_uid == answer_uid)
#endif

/* REPORT_WITHOUT_UID: a report that a deletion is over counts for whatever deletion has its id. */
#ifdef REPORT_WITHOUT_UID
#define report_is_for(r, d) (report_deletion[r] == d)
#else
#define report_is_for(r, d) (report_deletion[r] == d && report_uid[r] == deletion_uid[d])
#endif

/* UNPROVEN_ANSWERS: a server that is behind may say what the history has, one that only follows or is cut off. The rule
   is that whoever says so has committed a change in the same transaction, and such a server cannot: so there is none
   in the model. */

/* Switches that stand where the order of the steps is:
   SAYS_REPAIRING_LATE         the consumer goes on until the fence, although the feed_id is a new one already.
   FENCE_AFTER_LIST            the fence and the new feed_id come into force at the end of a repair only.
   LIST_BEFORE_HEAD            a repair asks the other service for its rows first, and reads the head after them.
   NO_RAISED_IDS               ids that the other service has seen are given again.
   RAISED_AFTER_LIST           ids are raised at the end of a repair, and not with the new feed_id.
   NO_OPEN_DELETIONS           deletions whose events are skipped by a repair do not take effect.
   OPEN_DELETIONS_AFTER_HEAD   so do those whose events come after the head, and are not skipped.
   KEEPS_REFUSED               a repair keeps what was refused.
   NO_COMPLETION               after a restore of the child nobody looks which deletions are over. */

/* ---- What must hold. A violation names the invariant. ----------------------------------------------------------- */

bool I1_orphan;                  /* a post refers to a user that is gone, or to another user that has the same id */
bool I2_living_user_loses_posts;
bool I3_restrict_took_a_post;
bool I4_write_after_deletion;    /* only while the child's database has not gone back */
bool I5_reference_to_another_user;
bool living_user_is_hidden;
bool reference_row_left;
bool deletion_never_ends;
bool completed_too_early;        /* a deletion is COMPLETED while its posts are still there */
bool repair_never_ends;
bool mismatch_after_repair;      /* a repair has ended, nothing was restored since, and a witness does not fit */
bool refused_for_a_stranger;     /* a repair has ended, and a CASCADE is refused */

#define must(condition, otherwise) if :: (condition) :: else -> assert(otherwise) fi

mtype:goal = { RESTORED, MISMATCH_SEEN, REPAIRED, REPAIRED_AFTER_CRASH, RETURNED, RECLAIMED_BY_LIST, ID_GIVEN_AGAIN,
  MISMATCH_OF_REPORTS, COMPLETED_BY_REPAIR, WRITTEN_WHILE_REPAIRING }
bool goal_reached;
#ifdef REACH
#define reached(goal) if :: (goal == REACH) -> assert(goal_reached) :: else fi
#else
#define reached(goal) skip
#endif

/* ---- Both databases --------------------------------------------------------------------------------------------- */

mtype = { ABSENT, ACTIVE, RELEASED, RECLAIMING, INTENT, REFUSED, PENDING, COMPLETED, CASCADE, RESTRICT, UNKNOWN,
  GOING_ON, MISMATCH, REPAIRING }

/* What is given once and never again, whatever goes back: uids, ids of events and of feeds. */
byte uids, events, feeds = 1, reports;
byte event_uid[EVENTS + 1], event_deletion[EVENTS + 1];     /* of a UserCreated the deletion is 0 */
byte report_uid[REPORTS + 1], report_deletion[REPORTS + 1]; /* UserPostsReclaimed */
byte intents;                                               /* so far, for the bound */

/* The parent's database. */
byte user;                     /* the uid of the row, or 0 */
byte user_deletion;            /* the user is DELETING by this deletion, or 0 */
bool id_taken;                 /* the counter of ids has passed the id */
byte last_deletion_id;
mtype deletion[DELETIONS + 1];
byte deletion_uid[DELETIONS + 1];
byte dropped_at[DELETIONS + 1];  /* the sequence of its UserDeleted */
byte head, feed[EVENTS + 1];   /* event ids by sequence */
byte feed_id = 1;
bool parent_halted;
mtype report_consumer = GOING_ON;
byte report_checkpoint, report_checkpoint_id;
#define OTHER 9                /* the uid of a user with another id */

/* The child's database. */
mtype reference = ABSENT;
byte reference_uid, reference_deletion, refused_through;
byte post;                     /* the uid of the user for whom it was written, or 0 */
byte checkpoint, checkpoint_event, last_deletion_sequence, known_feed_id = 1;
mtype consumer = GOING_ON;
bool id_seen;
byte deletion_seen, deletion_seen_uid;
byte report_head, report_feed[REPORTS + 1];
bool child_halted;

/* Restores so far. Whoever asked before one knows by it that the answer is too old, or that the process is gone. */
bool restores;
bool cured;                    /* a repair has ended since then */
bool strange;                  /* there was a stranger */

#define is_tombstone (reference == RELEASED || reference == RECLAIMING)
#define is_answered_by(d, uid) \
  (deletion_uid[d] == uid && (deletion[d] == RECLAIMING || deletion[d] == COMPLETED))
#if DELETIONS == 2
#define is_answered(uid) (is_answered_by(1, uid) || is_answered_by(2, uid))
#else
#define is_answered(uid) (is_answered_by(1, uid) || is_answered_by(2, uid) || is_answered_by(3, uid))
#endif
#define is_open(d) (deletion[d] == PENDING || deletion[d] == RECLAIMING)
#ifdef OPEN_DELETIONS_AFTER_HEAD
#define is_skipped(d, h) is_open(d)
#else
#define is_skipped(d, h) (is_open(d) && dropped_at[d] <= h)
#endif
#if DELETIONS == 2
#define skipped_deletions(h) (is_skipped(1, h) + 2 * is_skipped(2, h))
#else
#define skipped_deletions(h) (is_skipped(1, h) + 2 * is_skipped(2, h) + 4 * is_skipped(3, h))
#endif

inline append_event(uid, d) {
  events++; event_uid[events] = uid; event_deletion[events] = d; head++; feed[head] = events
}

inline report(d, uid) {
  reports++; report_deletion[reports] = d; report_uid[reports] = uid; report_head++; report_feed[report_head] = reports
}

inline see_deletion(d, uid) {
  if :: d > deletion_seen -> deletion_seen = d; deletion_seen_uid = uid :: else fi
}

inline add_reference(uid) { reference = ACTIVE; reference_uid = uid; id_seen = true }

inline forget_reference() { reference = ABSENT; reference_uid = 0; reference_deletion = 0; refused_through = 0 }

inline notice_mismatch() {
  if
  :: consumer == GOING_ON -> must(!cured, mismatch_after_repair); consumer = MISMATCH; reached(MISMATCH_SEEN)
  :: else
  fi
}

/* ---- The parent's service --------------------------------------------------------------------------------------- */

proctype Parent() {
end:
  do
  :: atomic { /* CreateUser */
       parent_takes_writes && user == 0 && !id_taken && uids < UIDS ->
       if :: uids > 0 -> reached(ID_GIVEN_AGAIN) :: else fi;
       uids++; user = uids; id_taken = true; append_event(user, 0)
     }
  :: atomic { /* DeleteUser: the intent */
       parent_takes_writes && user != 0 && user_deletion == 0 && intents < DELETIONS ->
       intents++; last_deletion_id++; deletion[last_deletion_id] = INTENT; deletion_uid[last_deletion_id] = user;
       user_deletion = last_deletion_id
     }
#ifdef OTHER_USER
  :: atomic { /* A user with another id is deleted, and the child's service does not hear of that at once. */
       parent_takes_writes && intents < DELETIONS ->
       intents++; last_deletion_id++; deletion[last_deletion_id] = COMPLETED; deletion_uid[last_deletion_id] = OTHER
     }
  :: atomic { /* Its release. */
       takes_releases && last_deletion_id > deletion_seen && deletion_uid[last_deletion_id] == OTHER ->
       if :: call_fits -> see_deletion(last_deletion_id, OTHER) :: else -> notice_mismatch() fi
     }
#endif
#ifdef STRANGER
  :: atomic { takes_releases && reference == ACTIVE && !strange ->
       strange = true; cured = false; refused_through = DELETIONS }
#endif
  :: atomic { consumer == MISMATCH && !parent_halted -> parent_halted = true }   /* the child's service says so */
  /* Clients need not do what they may do. */
  :: atomic { uids < UIDS -> uids++ }
  :: atomic { intents < DELETIONS -> intents++ }
  od
}

/* One transaction of the child's service. */
inline release(d, uid, as_of, id, answer) {
  if
  :: !takes_releases || !same_feed(id) -> answer = UNKNOWN
  :: takes_releases && same_feed(id) && reference != ABSENT && !same_uid(uid) -> answer = UNKNOWN; notice_mismatch()
  :: takes_releases && same_feed(id) && reference == ABSENT && last_deletion_sequence > as_of -> answer = UNKNOWN
  :: takes_releases && same_feed(id) && is_tombstone && same_uid(uid) ->
     if :: is_tombstone_of(d) -> answer = RELEASED; see_deletion(d, uid) :: else -> answer = UNKNOWN fi
  :: takes_releases && same_feed(id) && (reference == ACTIVE && same_uid(uid) ||
     reference == ABSENT && last_deletion_sequence <= as_of) ->
     see_deletion(d, uid);
     if
     :: d <= refused_through ->
        must(ACTION == RESTRICT || !strange || !cured, refused_for_a_stranger);
        answer = REFUSED
     :: d > refused_through && ACTION == RESTRICT && post != 0 -> refused_through = d; answer = REFUSED
     :: d > refused_through && !(ACTION == RESTRICT && post != 0) ->
        reference = RELEASED; reference_uid = uid; reference_deletion = d; id_seen = true; answer = RELEASED
     fi
  fi
}

/* A copy of one release is late. */
byte late_deletion, late_uid, late_as_of, late_feed_id;
bool late_restores;

proctype Driver() {
  byte d, uid, as_of, id;
  bool restores_then;
  mtype answer = UNKNOWN;
end:
idle:
  atomic { /* the services compare their witnesses; the head, and that the deletion is still INTENT */
    d = 0; uid = 0; as_of = 0; id = 0; restores_then = false; answer = UNKNOWN;
    parent_takes_writes && user_deletion != 0 ->
    if :: consumer == GOING_ON && !call_fits -> notice_mismatch(); goto idle :: else fi;
    d = user_deletion; uid = user; restores_then = restores; as_of = head; id = feed_id
#ifdef RESTORE_CHILD
    ; if
    :: late_deletion == 0 ->
       late_deletion = d; late_uid = uid; late_as_of = as_of; late_feed_id = id; late_restores = restores_then
    :: true
    fi
#endif
  }
  if
  :: atomic { request_is_fresh(restores_then) -> release(d, uid, as_of, id, answer) }
  :: true ->
progress_lost:
     skip
  fi;
  atomic { /* the drop or the refusal, where the deletion is INTENT; the process may be gone, or the answer too old */
    if
    :: !(parent_takes_writes && user_deletion == d && user == uid && answer_is_fresh(restores_then)) -> goto idle
#ifdef RESTORE_PARENT
    :: restores_then != restores -> goto idle
#endif
    :: else
    fi;
    if
    :: answer == REFUSED -> deletion[d] = REFUSED; user_deletion = 0
    :: answer == RELEASED || answer == UNKNOWN && ACTION == CASCADE ->
       must(!(ACTION == RESTRICT && post == uid), I3_restrict_took_a_post);
       deletion[d] = (answer == RELEASED -> RECLAIMING : PENDING);
       user = 0; user_deletion = 0; append_event(uid, d); dropped_at[d] = head
    :: answer == UNKNOWN && ACTION == RESTRICT
    fi;
    goto idle
  }
}

#ifdef RESTORE_CHILD
proctype Network() {
  mtype answer = UNKNOWN;
end:
  do
  :: atomic {
       late_deletion != 0 && request_is_fresh(late_restores) && takes_releases && same_feed(late_feed_id) &&
       (reference == ABSENT && last_deletion_sequence <= late_as_of ||
        reference == ACTIVE && same_uid(late_uid) && late_deletion > refused_through) ->
       release(late_deletion, late_uid, late_as_of, late_feed_id, answer); answer = UNKNOWN
     }
  od
}
#endif

/* The parent's consumer of UserPostsReclaimed. The first report completes a deletion. */
inline complete(d) {
  must(!(post != 0 && post == deletion_uid[d]), completed_too_early);
  deletion[d] = COMPLETED
}

proctype ReportConsumer() {
  byte r;
end:
  do
  :: atomic { report_consumer == GOING_ON && reports_fit && report_checkpoint < report_head ->
       report_checkpoint++; report_checkpoint_id = report_feed[report_checkpoint];
       r = report_deletion[report_checkpoint_id];
       if
       :: r != 0 && is_open(r) && report_is_for(report_checkpoint_id, r) -> complete(r)
       :: else
       fi;
       r = 0 }
  :: atomic { report_consumer == GOING_ON && !reports_fit ->
       report_consumer = MISMATCH; reached(MISMATCH_OF_REPORTS) }
  :: atomic { report_consumer == MISMATCH && !child_halted -> child_halted = true }
  od
}

/* ---- The child's service ---------------------------------------------------------------------------------------- */

proctype Guard() {
  byte writes, as_of, id, uid;
  bool has_answer, restores_then;
end:
next:
  atomic {
    writes < WRITES ->
    writes++; has_answer = false; as_of = 0; id = 0; uid = 0; restores_then = restores;
    if :: true :: goto next fi;   /* a client need not write */
write:
    /* One transaction: the fence, the reference row, the post. */
    if
    :: !child_takes_writes -> goto next
#ifdef RESTORE_CHILD
    :: child_takes_writes && restores_then != restores -> goto next   /* the process is gone */
#endif
    :: else
    fi;
    if
    :: has_answer && answer_is_fresh(restores_then) && (consumer == GOING_ON || consumer == REPAIRING) &&
       same_feed(id) && last_deletion_sequence <= as_of && reference == ABSENT -> add_reference(uid)
    :: else
    fi;
    if
    :: reference == ACTIVE ->
#ifndef RESTORE_CHILD
       must(!is_answered(reference_uid), I4_write_after_deletion);
#endif
       if :: consumer == REPAIRING -> reached(WRITTEN_WHILE_REPAIRING) :: else fi;
       post = reference_uid; goto next
    :: is_tombstone -> goto next
    :: reference == ABSENT && has_answer -> goto next   /* it would ask again; here that is the next write */
    :: reference == ABSENT && !has_answer -> skip
    fi
  }
  atomic { /* the lookup; the services compare their witnesses first */
    if
    :: consumer == GOING_ON && !call_fits -> notice_mismatch(); goto next
    :: consumer == MISMATCH -> goto next
    :: else
    fi;
    if :: user == 0 || user_deletion != 0 -> goto next :: else fi;
    has_answer = true; restores_then = restores; as_of = head; id = feed_id; uid = user
  }
  goto write
}

/* The effects of a UserDeleted; the report, if nothing refers to the user. */
inline user_deleted(uid, d) {
  if
  :: reference != ABSENT && same_uid(uid) -> reference = RECLAIMING; reference_deletion = d
  :: else -> report(d, uid)
  fi
}

proctype Consumer() {
  byte e;
  bool other_reported;
end:
  do
#ifdef RESTORE_CHILD
  :: atomic { !other_reported -> other_reported = true; report(0, OTHER) }   /* nothing refers to another user */
#endif
  :: atomic { consumer == GOING_ON && !witnesses_fit -> notice_mismatch() }
#ifdef UNPROVEN_ANSWERS
  :: atomic { consumer == GOING_ON && witnesses_fit && checkpoint != 0 -> notice_mismatch() }   /* it is behind */
#endif
  :: atomic { consumer == GOING_ON && witnesses_fit && checkpoint < head ->
       e = feed[checkpoint + 1];
       if
       :: reference != ABSENT && !same_uid(event_uid[e]) -> notice_mismatch()
       :: else ->
          checkpoint++; checkpoint_event = e; id_seen = true;
          if
          :: event_deletion[e] == 0 ->   /* a hint, which may be skipped */
             if :: reference == ABSENT -> add_reference(event_uid[e]) :: true fi
          :: else ->
             last_deletion_sequence = checkpoint; see_deletion(event_deletion[e], event_uid[e]);
             user_deleted(event_uid[e], event_deletion[e])
          fi
       fi;
       e = 0 }
  :: atomic { reference == RECLAIMING && post != 0 -> post = 0 }
  :: atomic { reference == RECLAIMING && post == 0 ->
       if :: reference_deletion != 0 -> report(reference_deletion, reference_uid) :: else fi;
       forget_reference() }
  od
}

/* ---- Repair of the child's view of the parent ------------------------------------------------------------------- */

/* Nothing that the child's service has seen is given again. */
inline raise_ids() {
#ifndef NO_RAISED_IDS
  if :: id_seen -> id_taken = true :: else fi;
  if :: deletion_seen > last_deletion_id -> last_deletion_id = deletion_seen :: else fi;
#endif
  raised = last_deletion_id
}

proctype Repair() {
  byte voluntary, crashes, h, h_event, id, row_uid, answer_uid, raised, open;
  bool answer_deleting, restores_then;
end:
begin:
  atomic {
    h = 0; h_event = 0; id = 0; row_uid = 0; answer_uid = 0; raised = 0; open = 0; answer_deleting = false;
    restores_then = false;
    if
    :: consumer == MISMATCH || consumer == REPAIRING
    :: consumer == GOING_ON && voluntary < REPAIRS -> voluntary++
    fi;
#ifndef SAYS_REPAIRING_LATE
    consumer = REPAIRING;
#endif
    restores_then = restores;
#ifdef LIST_BEFORE_HEAD
    row_uid = reference_uid; answer_uid = user; answer_deleting = (user_deletion != 0)
#endif
  }
  if
  :: atomic { /* a new feed_id, raised ids, the head */
       restores_then == restores ->
       feeds++; feed_id = feeds; id = feed_id; h = head; h_event = feed[head];
#ifndef RAISED_AFTER_LIST
       raise_ids(); parent_halted = false
#endif
     }
  :: restores_then != restores -> goto begin
  fi;
#ifndef FENCE_AFTER_LIST
  if
  :: atomic { restores_then == restores ->
       known_feed_id = id; last_deletion_sequence = h; consumer = REPAIRING }
  :: restores_then != restores -> goto begin
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
#endif
#ifndef LIST_BEFORE_HEAD
  row_uid = reference_uid;   /* a page of reference rows */
  atomic { /* the owner's answer to this page */
    answer_uid = user; answer_deleting = (user_deletion != 0)
  }
#endif
  if
  :: atomic { restores_then == restores ->
       if
       :: reference != ABSENT && row_is_the_same && row_uid != 0 && answer_uid != row_uid && reference != RECLAIMING ->
          must(reference_uid != user, I2_living_user_loses_posts);
          reference = RECLAIMING; reached(RECLAIMED_BY_LIST)
       :: reference == RELEASED && row_is_the_same && returns ->
          reference = ACTIVE; reference_deletion = 0; reached(RETURNED)
       :: reference == ACTIVE && row_is_the_same && answer_uid == row_uid ->
#ifdef KEEPS_REFUSED
          skip
#else
          refused_through = 0   /* what has refused it may be lost, and its id given again */
#endif
       :: else
       fi }
  :: restores_then != restores -> goto begin
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
#ifdef RAISED_AFTER_LIST
  if
  :: atomic { restores_then == restores -> raise_ids(); parent_halted = false }
  :: restores_then != restores -> goto begin
  fi;
#endif
  if
  :: atomic { restores_then == restores && is_reclaimed -> open = skipped_deletions(h) }   /* a page of them */
  :: restores_then != restores -> goto begin
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
  if
  :: atomic { restores_then == restores && is_reclaimed ->
#ifndef NO_OPEN_DELETIONS
       /* The events up to the head are skipped. So those of deletions that are not over take effect here. */
       if :: open & 1 -> user_deleted(deletion_uid[1], 1) :: else fi;
       if :: open & 2 -> user_deleted(deletion_uid[2], 2) :: else fi;
#if DELETIONS > 2
       if :: open & 4 -> user_deleted(deletion_uid[3], 3) :: else fi;
#endif
#endif
       checkpoint = h; checkpoint_event = h_event;
       deletion_seen = raised; deletion_seen_uid = 0;
#ifdef FENCE_AFTER_LIST
       known_feed_id = id; last_deletion_sequence = h;
#endif
       consumer = GOING_ON; cured = true; reached(REPAIRED);
       if :: crashes > 0 -> reached(REPAIRED_AFTER_CRASH) :: else fi }
  :: restores_then != restores -> goto begin
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
  goto begin
}

/* ---- Repair of the parent's view of the child ------------------------------------------------------------------- */

#ifdef RESTORE_CHILD
/* The child's service has consumed the deletion, and nothing refers to the user any more. */
#define is_over(d) \
  (consumer == GOING_ON && checkpoint >= dropped_at[d] && !(reference != ABSENT && reference_uid == deletion_uid[d]))

#define complete_if_over(d) \
  if :: is_open(d) && is_over(d) -> complete(d); reached(COMPLETED_BY_REPAIR) :: else fi

proctype ReportRepair() {
  byte crashes, h, h_event;
end:
begin:
  atomic {
    h = 0; h_event = 0;
    if
    :: report_consumer == MISMATCH || report_consumer == REPAIRING
    fi;
    report_consumer = REPAIRING
  }
#ifdef LIST_BEFORE_HEAD
  atomic { consumer == GOING_ON -> complete_if_over(1); complete_if_over(2) }
#endif
  atomic { h = report_head; h_event = report_feed[h] }
#if !defined(NO_COMPLETION) && !defined(LIST_BEFORE_HEAD)
  if
  :: atomic { consumer == GOING_ON -> complete_if_over(1); complete_if_over(2) }
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
#endif
  if
  :: child_halted = false
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
  if
  :: atomic { report_checkpoint = h; report_checkpoint_id = h_event; report_consumer = GOING_ON }
  :: atomic { crashes < CRASHES -> crashes++ }; goto begin
  fi;
  goto begin
}
#endif

/* ---- Restore ---------------------------------------------------------------------------------------------------- */

#define for_each_deletion(statement) \
  d = 1; do :: d <= DELETIONS -> statement; d++ :: else -> break od; d = 0

proctype Restore() {
  byte d;
#ifdef RESTORE_PARENT
  byte s_user, s_user_deletion, s_last_deletion_id, s_head, s_feed_id, s_report_checkpoint, s_report_checkpoint_id;
  bool s_id_taken, s_parent_halted;
  mtype s_report_consumer, s_deletion[DELETIONS + 1];
  byte s_deletion_uid[DELETIONS + 1], s_dropped_at[DELETIONS + 1];
end_backup:
  atomic {
    true;
    s_user = user; s_user_deletion = user_deletion; s_id_taken = id_taken; s_last_deletion_id = last_deletion_id;
    s_head = head; s_feed_id = feed_id; s_parent_halted = parent_halted; s_report_consumer = report_consumer;
    s_report_checkpoint = report_checkpoint; s_report_checkpoint_id = report_checkpoint_id;
    for_each_deletion(s_deletion[d] = deletion[d]; s_deletion_uid[d] = deletion_uid[d]; s_dropped_at[d] = dropped_at[d])
  }
end_restore:
  atomic {
    true;
    user = s_user; user_deletion = s_user_deletion; id_taken = s_id_taken; last_deletion_id = s_last_deletion_id;
    do :: head > s_head -> feed[head] = 0; head-- :: else -> break od;
    feed_id = s_feed_id; parent_halted = s_parent_halted; report_consumer = s_report_consumer;
    report_checkpoint = s_report_checkpoint; report_checkpoint_id = s_report_checkpoint_id;
    for_each_deletion(deletion[d] = s_deletion[d]; deletion_uid[d] = s_deletion_uid[d];
      dropped_at[d] = s_dropped_at[d]);
    restores = true; cured = false; reached(RESTORED)
  }
#endif
#ifdef RESTORE_CHILD
  mtype s_reference, s_consumer;
  byte s_reference_uid, s_reference_deletion, s_refused_through, s_post, s_checkpoint, s_checkpoint_event;
  byte s_last_deletion_sequence, s_known_feed_id, s_deletion_seen, s_deletion_seen_uid, s_report_head;
  bool s_id_seen, s_child_halted;
end_backup:
  atomic {
    true;
    s_reference = reference; s_reference_uid = reference_uid; s_reference_deletion = reference_deletion;
    s_refused_through = refused_through; s_post = post; s_checkpoint = checkpoint;
    s_checkpoint_event = checkpoint_event; s_last_deletion_sequence = last_deletion_sequence;
    s_known_feed_id = known_feed_id; s_consumer = consumer; s_id_seen = id_seen; s_deletion_seen = deletion_seen;
    s_deletion_seen_uid = deletion_seen_uid; s_report_head = report_head; s_child_halted = child_halted
  }
end_restore:
  atomic {
    true;
    reference = s_reference; reference_uid = s_reference_uid; reference_deletion = s_reference_deletion;
    refused_through = s_refused_through; post = s_post; checkpoint = s_checkpoint;
    checkpoint_event = s_checkpoint_event; last_deletion_sequence = s_last_deletion_sequence;
    known_feed_id = s_known_feed_id; consumer = s_consumer; id_seen = s_id_seen; deletion_seen = s_deletion_seen;
    deletion_seen_uid = s_deletion_seen_uid; child_halted = s_child_halted;
    do :: report_head > s_report_head -> report_feed[report_head] = 0; report_head-- :: else -> break od;
    restores = true; cured = false; reached(RESTORED)
  }
#endif
}

/* ---- The checks at rest ----------------------------------------------------------------------------------------- */

init {
  byte n;
  atomic {
    for (n : 0 .. DELETIONS) { deletion[n] = ABSENT }
    n = 0;
    run Parent(); run Driver(); run ReportConsumer(); run Guard(); run Consumer(); run Repair();
#ifdef RESTORE_CHILD
    run Network(); run ReportRepair();
#endif
#if defined(RESTORE_PARENT) || defined(RESTORE_CHILD)
    run Restore()
#endif
  }
  atomic {
    timeout ->
    must(consumer == GOING_ON && report_consumer == GOING_ON && !parent_halted && !child_halted, repair_never_ends);
    must(user_deletion == 0, deletion_never_ends);
    for (n : 1 .. DELETIONS) { must(!is_open(n), deletion_never_ends) }
    must(post == 0 || post == user, I1_orphan);
    must(!(reference == ACTIVE && reference_uid != user), I5_reference_to_another_user);
    must(!(is_tombstone && reference_uid == user), living_user_is_hidden);
    must(!is_tombstone, reference_row_left)
  }
}
