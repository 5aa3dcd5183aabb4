package authz

// Brand is what the server's pages show of the operator, defaults filled in, for pages elsewhere that
// are to look like them.
func (s *Server) Brand() Brand {
	brand := s.cfg.Brand
	brand.Name = s.pages.brand
	if brand.Color == "" {
		brand.Color = defaultColor
	}
	return brand
}
