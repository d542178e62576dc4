package flow

import (
	"encoding/json"
	"testing"
)

func TestOutpointInJSON(t *testing.T) {
	want := Outpoint{Tx: Hash{1, 2, 3}, Index: 7}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if s := `"` + want.String() + `"`; string(text) != s {
		t.Errorf("Marshal(%v) = %s; want %s", want, text, s)
	}
	var got Outpoint
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("Unmarshal(%s) = %v, %v; want %v", text, got, err, want)
	}
	if err := json.Unmarshal([]byte(`"00:1"`), &got); err == nil {
		t.Error("a short transaction id was read as an outpoint")
	}
}
