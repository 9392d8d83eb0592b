package run

import (
	"context"
	"fmt"

	"holdfast/reports"
)

// SendReport mails a report again.
func (n *Night) SendReport(ctx context.Context, r reports.Report) error {
	if n.Mail == nil {
		return fmt.Errorf("mail the report: no address under mailto")
	}
	body, err := reportText(r, n.Now().Location())
	if err != nil {
		return err
	}
	return n.Mail(ctx, r.Subject(), body)
}
