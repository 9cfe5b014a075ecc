"""A network boot server on Twisted: DHCP, ProxyDHCP, TFTP and HTTP are mouths of one answer."""
