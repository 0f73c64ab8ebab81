// A service whose tables differ from the declarations says why and ends before it serves.
#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/process_pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kServes[] = R"("message":"serving")";

class StartCheckOfAProcess : public DatabaseTest {
 protected:
  static void ExpectEnd(ChildProcess& process, const std::string& why) {
    EXPECT_EQ(process.Wait(Patience()), 1) << process.Output();
    EXPECT_THAT(process.Output(), HasSubstr("cannot serve"));
    EXPECT_THAT(process.Output(), HasSubstr(why));
    EXPECT_THAT(process.Output(), Not(HasSubstr(kServes)));
  }
};
CROSSKEY_ON_EVERY_DATABASE(StartCheckOfAProcess);

TEST_P(StartCheckOfAProcess, EndsItOverATableThatRefersToPostsUndeclared) {
  ProcessPair pair(GetParam());
  pair.Migrate();
  pair.user_db().Run(
      "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, post_id BIGINT, "
      "FOREIGN KEY (post_id) REFERENCES post_refs (id))");
  pair.StartUsers(false);
  ExpectEnd(pair.user_process(), "notes.post_id refers to post_refs, but no relationship is declared for it");

  // Without that table it serves.
  pair.user_db().Run("DROP TABLE notes");
  pair.StartUsers();
  EXPECT_THAT(pair.user_process().Output(), HasSubstr(kServes));
}

TEST_P(StartCheckOfAProcess, EndsItOverAForeignKeyThatIsGone) {
  ProcessPair pair(GetParam());
  pair.Migrate();
  pair.post_db().Run(pair.post_db().is_sqlite()
                         ? "DROP TABLE posts; "
                           "CREATE TABLE posts (id INTEGER PRIMARY KEY, uid TEXT, user_id BIGINT, state TINYINT)"
                         : "ALTER TABLE posts DROP FOREIGN KEY posts_user_id");
  pair.StartPosts(false);
  ExpectEnd(pair.post_process(), "post.v1.Post.user_id is declared, but posts.user_id has no foreign key to user_refs");
}

TEST_P(StartCheckOfAProcess, EndsItOverAForeignKeyThatActsByItself) {
  ProcessPair pair(GetParam());
  pair.Migrate();
  pair.post_db().Run(pair.post_db().is_sqlite()
                         ? "DROP TABLE likes; "
                           "CREATE TABLE likes (id INTEGER PRIMARY KEY, post_id BIGINT REFERENCES posts (id), "
                           "user_id BIGINT REFERENCES user_refs (id) ON DELETE CASCADE)"
                         : "ALTER TABLE likes DROP FOREIGN KEY likes_user_id, ADD CONSTRAINT likes_of_user "
                           "FOREIGN KEY (user_id) REFERENCES user_refs (id) ON DELETE CASCADE");
  pair.StartPosts(false);
  ExpectEnd(pair.post_process(), "the foreign key of likes.user_id does CASCADE by itself");
}

}  // namespace
}  // namespace crosskey::testing
