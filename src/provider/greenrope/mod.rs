//! GreenRope, SalesDrip and Mission Suite: the XML API.
