/* The locks of the protocol where several servers take writes (Galera): what one transaction of protocol.pml is there.
 *
 * Each server has an image of the database. A transaction runs on one of them, sees its image only, and locks rows
 * there only. When it commits, its writes get a place in one order for all servers. If an earlier entry of that order,
 * which its server had not applied when it began, has written one of the rows that it writes, it fails. So it does if
 * such an entry is applied while it runs. Otherwise every server applies it, in this order, each in its own time.
 *
 * The posts of one user are written on server 0, and he is deleted on server 1. README.md says what happens without
 * each rule.
 */

#ifndef TRIES
#define TRIES 3 /* of the transaction of the client */
#endif
#define ENTRIES 6

/* The rows that are written. */
#define POST 1      /* the child row */
#define REFERENCE 2 /* the reference row */
#define CHECKPOINT 4
#define LOCK 8      /* cluster_locks, for the reference */
#define POSITION 16 /* cluster_locks, for the feed: one of its stripes, and a repair writes all of them */

/* LOCKS_ARE_LOCAL: the guard locks the reference row, and writes nothing for that. */
#ifdef LOCKS_ARE_LOCAL
#define lock_of_guard 0
#else
#define lock_of_guard LOCK
#endif

/* RELEASE_LOCKS_NOTHING: the release writes the reference row alone. */
#ifdef RELEASE_LOCKS_NOTHING
#define lock_of_release 0
#else
#define lock_of_release LOCK
#endif

/* CONSUMER_LOCKS_ROWS: the consumer locks the reference rows that it sees, and not those that are absent. */
#ifdef CONSUMER_LOCKS_ROWS
#define lock_of_consumer (known == ABSENT -> 0 : LOCK)
#else
#define lock_of_consumer LOCK
#endif

/* FENCE_IS_LOCAL: the fence locks the checkpoint, and writes nothing for that. */
#ifdef FENCE_IS_LOCAL
#define lock_of_fence 0
#else
#define lock_of_fence POSITION
#endif

/* READS_DO_NOT_WAIT: a read sees the image of its server as it is (wsrep_sync_wait = 0). */
#ifdef READS_DO_NOT_WAIT
#define has_all(server) true
#else
#define has_all(server) (applied[server] == entries)
#endif

bool I1_dead_parent_is_active, I3_restrict_took_a_post, I4_read_after_deletion, goal_reached;
#define must(condition, otherwise) if :: (condition) :: else -> assert(otherwise) fi
#ifdef REACH
#define reached(goal) if :: (goal == REACH) -> assert(goal_reached) :: else fi
#else
#define reached(goal) skip
#endif
mtype = { CLIENT_FAILED, CREATED_FIRST, RELEASED_FIRST, FENCE_REFUSED };

mtype = { ABSENT, ACTIVE, RELEASED };
#ifdef UNKNOWN
#define at_first ABSENT
#else
#define at_first ACTIVE
#endif
typedef Image { mtype reference = at_first; bool post; bool consumed };
Image image[2];

/* The order that all servers apply. What an entry does to an image is what its transaction wants. */
typedef Entry { byte rows; mtype reference; bool post; bool consumes };
Entry order[ENTRIES];
byte entries;
byte applied[2];

/* The transaction that runs on a server: one at a time. */
typedef Transaction { bool runs; bool failed; byte rows };
Transaction running[2];

bool answered;      /* DeleteUser has answered: the user is deleted */
bool acknowledged;  /* CreatePost has answered: the post is there */
bool client_is_done, deleter_is_done;

inline begin(server, written) {
  running[server].runs = true;
  running[server].failed = false;
  running[server].rows = written
}

inline apply(server) {
  image[server].post = image[server].post || order[applied[server]].post;
  image[server].consumed = image[server].consumed || order[applied[server]].consumes;
  if
  :: order[applied[server]].reference != 0 -> image[server].reference = order[applied[server]].reference
  :: else
  fi;
  if
  :: running[server].runs && (running[server].rows & order[applied[server]].rows) != 0 -> running[server].failed = true
  :: else
  fi;
  applied[server]++
}

/* Gives the transaction a place in the order, unless it has failed. It has an effect when the server applies it. */
inline commit(server, new_reference, new_post, new_consumed) {
  if
  :: applied[server] < entries && (order[applied[server]].rows & running[server].rows) != 0 ->
     running[server].failed = true
  :: else
  fi;
  if
  :: applied[server] + 1 < entries && (order[applied[server] + 1].rows & running[server].rows) != 0 ->
     running[server].failed = true
  :: else
  fi;
  running[server].runs = false;
  if
  :: !running[server].failed ->
     assert(entries < ENTRIES && entries - applied[server] <= 2);
     order[entries].rows = running[server].rows;
     order[entries].reference = new_reference;
     order[entries].post = new_post;
     order[entries].consumes = new_consumed;
     entries++
  :: else
  fi
}

active [2] proctype Server() {
  end:
  do
  :: d_step { applied[_pid] < entries -> apply(_pid) }
  od
}

#ifdef UNKNOWN

/* The reference row is not there. The client has an answer from before the deletion. The consumer takes the event, or
 * with REPAIR the feed has lost it, and a repair finds the row that is dead. */
active proctype Client() {
  byte tries = 0;
  do
  :: tries == TRIES -> break
  :: tries < TRIES ->
     tries++;
     d_step { begin(0, POST | REFERENCE | lock_of_guard | lock_of_fence) }
     if
     :: atomic { image[0].consumed -> running[0].runs = false; reached(FENCE_REFUSED); break }
     :: atomic { !image[0].consumed && image[0].reference != RELEASED -> skip }
     :: atomic { !image[0].consumed && image[0].reference == RELEASED -> running[0].runs = false; break }
     fi;
     atomic { commit(0, ACTIVE, true, false) }
     if
     :: !running[0].failed -> acknowledged = true; break
     :: running[0].failed -> reached(CLIENT_FAILED)
     fi
  od;
  client_is_done = true
}

#ifdef REPAIR

active proctype Repair() {
  /* A new history: an answer of the old one does not pass the fence any more. */
  do
  :: true ->
     d_step { begin(1, CHECKPOINT | lock_of_fence) }
     atomic { commit(1, 0, false, true) }
     applied[1] == entries;
     if
     :: !running[1].failed -> break
     :: running[1].failed
     fi
  od;
  /* Then its list: what is here, and not there. */
  do
  :: true ->
     d_step { begin(1, REFERENCE | LOCK) }
     if
     :: atomic { image[1].reference == ABSENT -> running[1].runs = false; break }
     :: atomic { image[1].reference != ABSENT -> skip }
     fi;
     atomic { commit(1, RELEASED, false, false) }
     applied[1] == entries;
     if
     :: !running[1].failed -> break
     :: running[1].failed
     fi
  od;
  deleter_is_done = true
}

#else

active proctype Consumer() {
  mtype known;
  do
  :: true ->
     d_step {
       known = image[1].reference;
       begin(1, CHECKPOINT | lock_of_consumer | (known == ABSENT -> 0 : REFERENCE))
     }
     atomic { commit(1, (known == ABSENT -> 0 : RELEASED), false, true) }
     if
     :: !running[1].failed -> break
     :: running[1].failed -> applied[1] == entries  /* and again */
     fi
  od;
  deleter_is_done = true
}

#endif

active proctype AtRest() {
  client_is_done && deleter_is_done && applied[0] == entries && applied[1] == entries;
  must(image[0].reference != ACTIVE, I1_dead_parent_is_active)
}

#else

/* The reference row is ACTIVE. */
active proctype Client() {
  byte tries = 0;
  do
  :: tries == TRIES -> break
  :: tries < TRIES ->
     tries++;
     d_step { begin(0, POST | lock_of_guard) }
     if
     :: atomic { image[0].reference == RELEASED -> running[0].runs = false; reached(RELEASED_FIRST); break }
     :: atomic { image[0].reference == ACTIVE -> skip }
     fi;
     atomic { commit(0, 0, true, false) }
     if
     :: !running[0].failed -> acknowledged = true; break
     :: running[0].failed -> reached(CLIENT_FAILED)
     fi
  od;
  client_is_done = true
}

/* RESTRICT refuses if it sees the post, CASCADE hides it. Its server has applied it when it answers. */
active proctype Release() {
  do
  :: true ->
     d_step { begin(1, REFERENCE | lock_of_release) }
#ifndef CASCADE
     if
     :: atomic { image[1].post -> running[1].runs = false; reached(CREATED_FIRST); break }
     :: atomic { !image[1].post -> skip }
     fi;
#endif
     atomic { commit(1, RELEASED, false, false) }
     applied[1] == entries;
     if
     :: !running[1].failed -> answered = true; break
     :: running[1].failed
     fi
  od;
  deleter_is_done = true
}

/* Asks for the posts on server 0, when the deletion has been answered. */
active proctype Reader() {
  if
  :: answered && has_all(0) -> must(!(image[0].reference == ACTIVE && image[0].post), I4_read_after_deletion)
  :: deleter_is_done && !answered
  fi
}

active proctype AtRest() {
  client_is_done && deleter_is_done && applied[0] == entries && applied[1] == entries;
#ifndef CASCADE
  must(!(image[0].reference == RELEASED && image[0].post), I3_restrict_took_a_post);
#endif
  must(!acknowledged || image[1].post, I3_restrict_took_a_post)
}

#endif
