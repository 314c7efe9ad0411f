"""What distingo notes down, as codes and values, and the sentences that are made of them where a person reads them."""
