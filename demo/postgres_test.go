package demo_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/internal/postgrestest"
)

// emptyDatabase is where a platform of a test has its database, where the test names none; "": memory.
var emptyDatabase = func() string { return "" }

// What is promised on SQLite is promised on Postgres: the same tests, each with an empty database of its own.
func TestOnPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	emptyDatabase = server.Database
	defer func() { emptyDatabase = func() string { return "" } }()
	for name, test := range map[string]func(*testing.T){
		"cached routes": TestCachedRoutes, "seeded data": TestTheSeededData, "a changed partner": TestAChangedPartnerIsSeenAtOnce, "queries": TestQueries,
		"chat in both forms": TestChatIsOneAnswerInBothForms, "chat's key": TestChatKey, "many askers": TestManyAskersAreOneAnswer, "sessions": TestSessions,
		"a session from the cache": TestASessionIsReadFromTheCache, "bad input": TestBadInput, "refusals": TestRefusalsAreNotStored, "operators": TestOperatorsHaveBoth,
		"tools and API": TestToolsAndAPIAreOne, "two nodes on one database": TestTwoPlatformsOnOneFile, "a session on two platforms": TestASessionOnTwoPlatforms,
	} {
		t.Run(name, test)
	}
}

// Nodes that begin at the same time on an empty database make it once; a change that two make at once is made by both.
func TestPostgresIsMadeOnce(t *testing.T) {
	url := postgrestest.Start(t).Database()
	var all sync.WaitGroup
	apis := make([]*origin.API, 4)
	for i := range apis {
		all.Go(func() {
			api, err := origin.Open(context.Background(), url, origin.Latency{})
			if err != nil {
				t.Error(err)
				return
			}
			apis[i] = api
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	name, industry := "Renamed", origin.Industries[3]
	// Somebody else changes the row: an update that begins meanwhile sees that change, and keeps it.
	tx, err := apis[0].DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "UPDATE partners SET industry = $1 WHERE id = 'p-1'", industry); err != nil {
		t.Fatal(err)
	}
	all.Go(func() {
		if _, err := apis[1].UpdatePartner(t.Context(), "p-1", origin.PartnerChange{Name: &name}); err != nil {
			t.Error(err)
		}
	})
	for waiting := 0; waiting == 0; { // until it waits for the row
		if err := apis[2].DB().QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	list, err := apis[2].Partners(t.Context(), "acme", "")
	if err != nil || len(list) != 64 || list[0].Name != name || list[0].Industry != industry {
		t.Errorf("%d partners, %+v, %v", len(list), list[0], err)
	}
	for _, api := range apis {
		api.Close()
	}
}

func TestPostgresThatCannotBeUsed(t *testing.T) {
	for _, url := range []string{"postgres://u:secret@127.0.0.1:1/x?sslmode=disable", "postgres://u:secret@/%zz"} {
		_, err := demo.Open(t.Context(), demo.Options{Database: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}
