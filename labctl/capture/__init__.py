"""What was on the wire: pcapng and pcap files read, packets taken apart, SIP messages, and the calls they make up."""
