package dumpers

import "holdfast/internal/qcow2"

// Set is what the dump will hold.
func (p *Prepared) Set() *qcow2.Set { return p.set }
