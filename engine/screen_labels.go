package engine

import (
	"github.com/spoor-dev/spoor/attribute"
	"github.com/spoor-dev/spoor/flow"
)

// Book is the labels as a book, as if they had always held and been known. Each is as sure as a trusted provider: the user
// gave the list.
func (l *Labels) Book() (*attribute.Book, error) {
	var all []attribute.Label
	add := func(s attribute.Subject, label Label) {
		c := attribute.ParseCategory(label.Category)
		all = append(all, attribute.Label{Subject: s, Name: label.Name, Category: c, Service: label.Service || c.IsService(),
			Confidence: attribute.TrustedProvider, Source: attribute.Source{ID: label.Source}})
	}
	if l == nil {
		return attribute.NewBook(nil)
	}
	for a, label := range l.exact {
		add(attribute.OfAccount(a), label)
	}
	for key, label := range l.anyEVM {
		a, err := flow.AccountFromKey(flow.Ethereum, key)
		if err != nil {
			return nil, err
		}
		add(attribute.OfAnyEVM(a), label)
	}
	return attribute.NewBook(all)
}
