package coding

import "strings"

// Choose returns the coding that the lines of an Accept-Encoding field prefer among those on offer (RFC 9110, section
// 12.5.3): the one with the highest weight, the first of them where several have it; "" where the body is best sent as it
// is. Without a field it is "", because the client may know none.
func Choose(lines, offered []string) string {
	weights := make([]int, len(offered))
	for i := range weights {
		weights[i] = -1
	}
	identity, others := -1, -1 // not said
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			name, parameters, has := strings.Cut(one, ";")
			q := 1000
			if has {
				q = weightOf(parameters)
			}
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "x-gzip" {
				name = "gzip"
			}
			switch name {
			case "*":
				others = q
			case "identity":
				identity = q
			}
			for i, known := range offered {
				if known == name {
					weights[i] = q
				}
			}
		}
	}
	best, most := "", 0
	for i, q := range weights {
		if q < 0 {
			q = others
		}
		if q > most {
			best, most = offered[i], q
		}
	}
	if identity > most {
		return ""
	}
	return best
}

// weightOf reads the weight among the parameters; a wrong one is a refusal.
func weightOf(parameters string) int {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, _ := Weight(strings.TrimSpace(value))
			return q
		}
	}
	return 1000
}

// Weight reads a qvalue: 0 or 1 with at most three decimals (RFC 9110, section 12.4.2).
func Weight(q string) (thousandths int, ok bool) {
	if q == "" || len(q) > 5 || q[0] != '0' && q[0] != '1' || len(q) > 1 && q[1] != '.' {
		return 0, false
	}
	thousandths = int(q[0]-'0') * 1000
	for i, unit := 2, 100; i < len(q); i, unit = i+1, unit/10 {
		if q[i] < '0' || q[i] > '9' {
			return 0, false
		}
		thousandths += int(q[i]-'0') * unit
	}
	if thousandths > 1000 {
		return 0, false
	}
	return thousandths, true
}
